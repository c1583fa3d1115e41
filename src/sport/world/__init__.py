"""The embedded world: pictures, documents and questions as pure functions of a seed."""
