"""The HTTP service: models of `i2i` behind a documented contract, packaged and run by BentoML."""
