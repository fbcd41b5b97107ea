"""Golden files: what their manifests promise, the folders on disk, and what reads them."""
