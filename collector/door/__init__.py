"""From a socket to a request that is taken or turned away: connections, within their bounds."""
