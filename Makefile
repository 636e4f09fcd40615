# Targets for people and for CI. `make run` and `make test` are all a newcomer needs.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CHROMIUM ?= /usr/bin/chromium
NGINX ?= $(or $(wildcard /usr/sbin/nginx),$(VENV)/nginx/usr/sbin/nginx)
SUDO := $(if $(filter 0,$(shell id -u)),,sudo)

.DEFAULT_GOAL := help
.PHONY: help run test check format docs clean

help:  ## Show the targets.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: $(VENV)/.installed  ## Install what is missing, start the app and print its address.
	$(BIN)/python app.py

test: $(VENV)/.installed-dev $(CHROMIUM) $(NGINX)  ## Install what tests need and run all of them.
	NGINX=$(NGINX) $(BIN)/python -m pytest

check: $(VENV)/.installed-dev  ## Format, lint, types, import order, generated documentation.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	rm -f memeapp/ui/*.pyi  # gradio writes them; mypy would believe them
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/make_docs.py --check

format: $(VENV)/.installed-dev  ## Format the code and mend what lint can mend.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(VENV)/.installed-dev  ## Write the generated parts of the README again.
	$(BIN)/python tools/make_docs.py

clean:  ## Remove the environment and caches (never the data folder).
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else None'
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "Debian needs: apt install python3-venv"; exit 1; }

$(VENV)/.installed: requirements.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	touch $@

$(VENV)/.installed-dev: requirements-dev.txt $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-dev.txt
	touch $@

$(CHROMIUM):
	$(SUDO) apt-get update -qq
	$(SUDO) apt-get install -y -qq --no-install-recommends chromium

# Unpacked, not installed: Debian's package would start a server on port 80.
$(VENV)/nginx/usr/sbin/nginx: | $(VENV)/bin/python
	$(SUDO) apt-get update -qq
	mkdir -p $(VENV)/nginx
	cd $(VENV)/nginx && apt-get download -qq nginx && dpkg-deb --extract nginx_*.deb . && rm nginx_*.deb
