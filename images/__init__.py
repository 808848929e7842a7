"""The container images: what they are called, how they are built and pushed, and what is in them."""
