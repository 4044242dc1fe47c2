"""What is known of one tenant's token, as numbers."""

from prober.credential import TokenStatus
from prober.outcomes import RejectionCause, TokenState
from prober.recorders.series import ONLY
from prober.recorders.store import Store


class TokenSeries:
    """The series of one tenant's token, looked up once and kept."""

    __slots__ = (
        "_cause",
        "_expiry",
        "_first_accepted",
        "_last_accepted",
        "_loaded",
        "_owner",
        "_rejections",
        "_rotations",
        "_stands",
        "_state",
        "_store",
        "_told",
    )

    def __init__(self, store: Store, tenant: str) -> None:
        self._store = store
        self._owner = owner = (tenant,)
        self._state = store.block("prober_token_state", owner)
        self._cause = store.block("prober_token_rejected_cause", owner)
        self._expiry = store.block("prober_token_expiry_timestamp_seconds", owner)
        self._first_accepted = store.block("prober_token_first_accepted_timestamp_seconds", owner)
        self._last_accepted = store.block("prober_token_last_accepted_timestamp_seconds", owner)
        self._loaded = store.block("prober_token_loaded_timestamp_seconds", owner)
        self._rotations = store.block("prober_token_rotations_total", owner)
        self._rejections = store.block("prober_token_rejections_total", owner)
        self._told: tuple[str, str] | None = None
        self._stands: tuple[TokenState | None, RejectionCause | None] = (None, None)
        if not any(self._state.values.values()):
            self._state.set(1.0, TokenState.MISSING)

    def changed(self, status: TokenStatus) -> None:
        """Take in what is known now."""
        if (status.state, status.cause) != self._stands:
            self._stands = (status.state, status.cause)
            self._state.replace({each: float(each is status.state) for each in TokenState})
            self._cause.replace({each: float(each is status.cause) for each in RejectionCause})
        self._expiry.replace({} if status.expires_at is None else {ONLY: status.expires_at})
        self._first_accepted.set(status.first_accepted_at or 0.0)
        self._last_accepted.set(status.last_accepted_at or 0.0)
        self._loaded.set(status.loaded_at or 0.0)
        self._rotations.set(float(status.rotations))
        self._tell(status)

    def rejected(self, cause: RejectionCause) -> None:
        """Count a rejection."""
        self._rejections.add(key=cause)

    def _tell(self, status: TokenStatus) -> None:
        name = status.fingerprint
        told = None if name is None else (name, status.source.kind.value)
        if told != self._told:
            self._told = told
            self._store.tell("prober_token_info", self._owner, told)
