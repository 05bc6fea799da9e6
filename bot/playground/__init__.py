"""The local workspace: a stand-in for Slack, hosts to practise on, and a page. Simulated, never in `serve`."""
