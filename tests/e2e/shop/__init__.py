"""A small shop over HTTP: the service that the end-to-end tests look into."""
