"""Grafana's dashboards as code: `python -m dashboards` writes them to config/grafana/dashboards.

Pure but for `__main__`: words, colours and closed sets are the prober's own, so that a dashboard
says of a thing what the status page says of it. Nothing in `prober/` imports this room.
"""
