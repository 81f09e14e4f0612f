# make demo | test | test-whole | test-slow | check | docs | bench | results FOLDER=… | serve PORT=3000 | bento | image | image-test | sbom
# each from a fresh checkout; they install what they need

PYTHON ?= python3
# Of `make serve`; 0.0.0.0 lets other machines ask.
HOST ?= 127.0.0.1
PORT ?= 3000
CONTAINER ?= $(shell command -v podman || command -v docker)
BIN := .venv/bin
INSTALLED := .venv/.installed
# Tests that take no minutes and need nothing special.
OFTEN := not slow and not gpu and not data and not browser
# A process of tests that crashes ends them: pytest-xdist waits for ever for what it starts instead.
PYTEST := $(BIN)/python -m pytest -q -n 2 --dist loadgroup --max-worker-restart=0

export BENTOML_DO_NOT_TRACK := true
# Podman's own format has no health check.
export BUILDAH_FORMAT := docker
export NO_ALBUMENTATIONS_UPDATE := 1
# It advertises a successor at every build.
export NO_MKDOCS_2_WARNING := 1

.PHONY: install demo test test-whole test-slow check docs bench results serve bento image image-test sbom

install: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt scripts/mend_torchvision.py
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev]'
	$(BIN)/python scripts/mend_torchvision.py
	touch $@

demo: $(INSTALLED)
	$(BIN)/python -m scripts.demo

test: $(INSTALLED)
	$(PYTEST) -m 'not whole and $(OFTEN)'

# What takes seconds each: whole runs, exports, servers.
test-whole: $(INSTALLED)
	$(PYTEST) -m 'whole and $(OFTEN)'

# Those that need a GPU, real pictures or a browser are left out here too.
test-slow: $(INSTALLED)
	$(PYTEST) -m 'slow and not gpu and not data and not browser'

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict i2i
	$(BIN)/mypy training service tests scripts benchmarks

docs: $(INSTALLED)
	$(BIN)/mkdocs build -q

bench: $(INSTALLED)
	$(BIN)/python -m benchmarks.window_budget super-resolution-x2 depixelate nuclei

results: $(INSTALLED)
	$(BIN)/python -m training results --data $(FOLDER) --page

serve: $(INSTALLED)
	$(BIN)/bentoml serve service.service:I2I --host $(HOST) --port $(PORT)

bento: $(INSTALLED)
	$(BIN)/bentoml build

image: $(INSTALLED)
	$(if $(CONTAINER),,$(error expected podman or docker, got neither; install one, or say CONTAINER=PROGRAM))
	bento=$$($(BIN)/bentoml build --output tag | sed -n 's/^__tag__://p') && \
	$(CONTAINER) build -f deploy/Dockerfile -t i2i:latest "$$($(BIN)/bentoml get "$$bento" -o path)"

image-test: $(INSTALLED)
	scripts/with_podman.sh $(MAKE) image
	scripts/with_podman.sh $(BIN)/python -m scripts.image_test podman i2i:latest

# The packages of the image as CycloneDX, told inside it by a tool that goes with the container.
sbom: image
	$(CONTAINER) run --rm --network host --entrypoint sh i2i:latest -c 'python -m venv /tmp/cyclonedx && \
	/tmp/cyclonedx/bin/pip install -q --disable-pip-version-check cyclonedx-bom && \
	/tmp/cyclonedx/bin/cyclonedx-py environment /app/.venv/bin/python' > sbom.json
