"""A small order desk: orders come in over HTTP, each is accepted or rejected at once."""
