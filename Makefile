# Targets are thin: each calls a real tool. `make` alone lists them.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: $(shell sed -nE 's/^([a-z0-9-]+):.*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(VENV)/.runtime ## see it work: a simulated platform, faults, and live verdicts
	$(BIN)/prober demo $(DEMO)

DEMO ?=

test: $(VENV)/.development programs ## run every test, with coverage
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --cov --cov-report=
	$(BIN)/coverage report

unit: $(VENV)/.development ## run the pure tests alone, in half a minute; ARGS="-k name" selects
	$(BIN)/pytest tests/unit tests/conventions -n 2 --hypothesis-profile quick -q $(ARGS)

e2e: $(VENV)/.development programs ## the full run alone: faults, Prometheus, Alertmanager, who is notified
	E2E_EVERY_CELL=1 $(BIN)/pytest tests/e2e/test_alerting.py -v

e2e-newest: $(VENV)/.development programs ## the full run, the rules and OTLP on Prometheus 3 and Alertmanager, built by Go; says so where Go is missing
	./.ci/build-newest-prometheus
	PATH="$(CURDIR)/build/newest/bin:$$PATH" $(BIN)/pytest tests/e2e/test_alerting.py tests/e2e/test_cluster.py tests/e2e/test_dashboards.py tests/e2e/test_exemplars.py tests/e2e/newest_otlp.py tests/alerting $(ARGS)

faults: $(VENV)/.development programs ## every fault of network, servers and machine, each with its verdict
	$(BIN)/pytest tests/faults -q

bench: $(VENV)/.development ## measure every target of performance, a quarter of an hour; writes the table in docs/explanation/performance.md
	@{ command -v nginx && command -v prometheus-blackbox-exporter; } >/dev/null \
	  || ./.ci/install-programs nginx-light prometheus-blackbox-exporter
	$(BIN)/python -m tests.benchmarks $(BENCH)

profile: $(VENV)/.development ## draw where the daemon's time goes, at 200 probes/s: build/profile.html
	@command -v nginx >/dev/null || ./.ci/install-programs nginx-light
	$(BIN)/python -m tests.benchmarks.profile_picture

BENCH ?= --write

fuzz: $(VENV)/.development ## ten minutes of atheris on parser, judge and `prober explain`
	$(BIN)/python -m tests.fuzz.run

mutants: $(VENV)/.development ## change the pure code at random places: do tests notice? SAMPLE=200 takes a few minutes
	$(BIN)/python -m tools.mutants $(if $(SAMPLE),--sample $(SAMPLE)) $(if $(SEED),--seed $(SEED)) $(MUTANTS)

soak: $(VENV)/.development ## an hour at 200 probes/s with random faults: nothing may grow; writes soak.svg
	$(BIN)/python -m tests.soak.run

picture: $(VENV)/.development ## redraw docs/demo.svg
	$(BIN)/python docs/demo_picture.py

pictures: $(VENV)/.development programs ## retake docs/pictures, from the tests of pages and report in Chromium
	PICTURES_DIRECTORY=docs/pictures $(BIN)/pytest tests/e2e/test_page.py tests/e2e/test_overview.py tests/e2e/test_tenant_page.py tests/e2e/test_report.py -q

dashboards: $(VENV)/.development ## regenerate config/grafana/dashboards and Kubernetes' PrometheusRule
	$(BIN)/python -m tools.grafana

docs: $(VENV)/.development ## build the documentation site into site/; a broken link fails
	$(BIN)/mkdocs build --strict --quiet

reference: $(VENV)/.development ## regenerate the generated sections of docs/
	$(BIN)/python -m tools.docs

coverage: $(VENV)/.development programs ## measure what alerts and how soon, some minutes: docs/reference/alerts-coverage.md
	$(BIN)/python -m tests.alerting.coverage

calm: $(VENV)/.development programs ## ninety simulated days, a quarter of an hour: who is notified of what, and is it right
	$(BIN)/python -m tests.calm $(CALM)

vendor-check: $(VENV)/.development ## make every call of the vendor's client library against the simulator; needs cargo
	$(BIN)/python -m tests.vendor.check

lint: $(VENV)/.development ## ruff, ruff format, mypy --strict, vulture (dead code), import contracts, hadolint, codespell, proselint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/vulture
	$(BIN)/lint-imports --no-cache
	$(BIN)/hadolint Dockerfile
	$(BIN)/codespell
	$(BIN)/proselint --config .proselintrc.json check README.md CONTRIBUTING.md SECURITY.md CODE_OF_CONDUCT.md docs

format: $(VENV)/.development ## let ruff fix what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: | $(VENV)/bin/uv ## renew the locked dependencies
	$(BIN)/uv pip compile $(LOCK_FLAGS) --output-file requirements/runtime.txt pyproject.toml
	$(BIN)/uv pip compile $(LOCK_FLAGS) --constraint requirements/runtime.txt --output-file requirements/build.txt requirements/build.in
	$(BIN)/uv pip compile $(LOCK_FLAGS) --extra development --output-file requirements/development.txt pyproject.toml requirements/build.in

LOCK_FLAGS := --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links --upgrade

programs: ## install the Debian programs that tests use (prometheus, alertmanager, chromium, systemd-analyze, curl, openssl, faketime, ip, libatomic)
	@{ command -v promtool && command -v amtool && command -v prometheus-alertmanager && command -v chromium && command -v systemd-analyze && command -v curl && command -v openssl && command -v faketime && command -v ip && /sbin/ldconfig -p | grep libatomic.so.1; } >/dev/null \
	  || ./.ci/install-programs prometheus prometheus-alertmanager chromium systemd curl openssl faketime iproute2 libatomic1

image-check: $(VENV)/.development debootstrap ## build and run the image without Docker, on a plain Debian; needs root
	$(BIN)/python -m tests.packaging.image_check

system-test: $(VENV)/.development debootstrap ## boot a Debian with systemd and install by the guide, build and run the image; needs root, ten minutes
	@{ command -v systemd-nspawn && command -v buildah && command -v podman && command -v crun; } >/dev/null \
	  || ./.ci/install-programs systemd-container buildah podman crun
	$(BIN)/python -m tests.system $(SYSTEM)

SYSTEM ?=

fresh: debootstrap ## make demo and make test, each on a bare Debian 12 and 13 (SUITES="bookworm trixie"); needs root, half an hour
	$(PYTHON) -m tests.packaging.fresh $(SUITES)

SUITES ?= bookworm trixie

debootstrap:
	@command -v debootstrap >/dev/null || ./.ci/install-programs debootstrap

audit: $(VENV)/.development ## look the locked packages up among known vulnerabilities; needs the service on the network
	$(BIN)/pip-audit --strict --disable-pip --require-hashes -r requirements/runtime.txt -r requirements/build.txt \
	  || { echo "audit: a package above is vulnerable, or the service could not be asked about it: nothing is vouched for" >&2; exit 1; }

sbom: $(VENV)/.development ## write dist/prober.cdx.json: a CycloneDX list of what runs, validated, from the lock
	@mkdir -p dist
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --validate --output-file dist/prober.cdx.json requirements/runtime.txt

dist: $(VENV)/.build ## build the wheel and the sdist, the same bytes from the same commit
	rm -f dist/prober-*.whl dist/prober-*.tar.gz
	$(BIN)/python -m hatchling build

deb: ## build dist/prober_VERSION_ARCH.deb for the Debian that runs this; as root it installs what that needs
	packaging/build-deb

deb-check: deb debootstrap ## install, start, remove and purge the package on a bare Debian; needs root
	$(PYTHON) -m tests.packaging.deb_check

clean: ## forget the virtual environment and all caches
	rm -rf $(VENV) .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# Not by way of the lock, which a new dependency has made incomplete.
$(VENV)/bin/uv: | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check 'uv>=0.6'

# The lock is complete, so --no-deps: pip's resolver would look past it, at releases newer than the pins, and refuse.
$(VENV)/.runtime: requirements/runtime.txt requirements/build.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/runtime.txt -r requirements/build.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/pip check --disable-pip-version-check
	@touch $@

# What builds a wheel, and no more: 10 MB instead of the 800 of development.
$(VENV)/.build: requirements/build.txt | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/build.txt
	@touch $@

$(VENV)/.development: requirements/development.txt pyproject.toml | $(VENV)/bin/python
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/development.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/pip check --disable-pip-version-check
	@touch $@ $(VENV)/.runtime $(VENV)/.build
