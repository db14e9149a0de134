"""The ways out of the process: a server, apps for other servers, a Pushgateway, a text file."""
