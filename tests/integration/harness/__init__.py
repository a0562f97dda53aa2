"""What the integration tests stand on: servers, the proxy, ports, waiting, metrics."""
