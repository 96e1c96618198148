# One command a job. Everything runs from .venv, which `make setup` makes from hash-locked requirements.

PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
TEST_WORKERS ?= 3
UV     := $(BIN)/uv
UV_PIN := 0.13.8

.DEFAULT_GOAL := help

help:  ## Show this list
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

## ---- set-up --------------------------------------------------------------------------------
setup: $(VENV)/.ready  ## Make .venv from the locked requirements

$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	@test -x $(UV) || $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
	@$(UV) pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements/dev.txt
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation \
	    --config-settings editable_mode=compat --editable .
	@touch $@

lock:  ## Resolve the pins of pyproject.toml into requirements/*.txt (hashes, no addresses)
	{ echo '# The installer itself, by hash. Made by: make lock'; echo uv==$(UV_PIN) | $(UV) pip compile \
	    --quiet --python-version 3.11 --universal --generate-hashes --no-emit-index-url --no-header -; } \
	    > requirements/uv.txt
	$(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make lock" pyproject.toml -o requirements/runtime.txt
	$(UV) pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make lock" --group dev pyproject.toml -o requirements/dev.txt

## ---- the main job --------------------------------------------------------------------------
demo: setup  ## Run the whole pipeline on samples/ and show the result
	@$(BIN)/lakehouse demo

up: setup  ## Run it as a service: Dagster UI, daemon, inbox sensor
	@$(BIN)/lakehouse up

down: setup  ## Stop what up and dashboards started
	@$(BIN)/lakehouse down

dashboards: setup  ## Superset without Docker, on this platform's Postgres: http://127.0.0.1:8088
	@$(BIN)/python superset/native.py start

secrets: setup  ## Write random secrets into .env (mode 600) for the container stack
	@$(BIN)/python -m installation.secrets env

rotate:  ## New random values in the running container stack (SECRET="BI_READER_PASSWORD PROXY_PASSWORD")
	docker compose run --rm -T secrets rotate $(SECRET) /secrets
	docker compose up --detach --wait

## ---- versions of the container stack (docs/runbook/services.md) -----------------------------
# The version that runs, as the tag of its image; a backup is its business, not the new version's.
RUNNING = $$(docker inspect --format '{{.Config.Image}}' $$(docker compose ps --all --quiet code-location) | sed 's/.*://')
ifndef BACKUP
BACKUP := backups/$(shell date -u +%Y%m%dT%H%M%SZ).backup
endif
DATA := database objects home site hub

backup:  ## Everything in the container stack into one file (BACKUP=FILE), for its owner's eyes alone
	@mkdir -p $(dir $(BACKUP))
	umask 077 && LAKEHOUSE_VERSION=$(RUNNING) docker compose run --rm -T --no-deps admin backup - > $(BACKUP).unfinished
	mv $(BACKUP).unfinished $(BACKUP)

upgrade: backup  ## Back up with the version that runs, then build and start that of this checkout
	docker compose build
	docker compose up --detach --wait
	@echo "Done. The way back: make go-back BACKUP=$(BACKUP) in a checkout of the former version."

go-back:  ## Replace all data by those of BACKUP=FILE, with the version of this checkout (SURE=yes)
	@test "$(SURE)" = yes || { echo "This removes what came after $(BACKUP). Say so: SURE=yes" >&2; exit 2; }
	@test -s $(BACKUP) || { echo "There is no backup $(BACKUP)." >&2; exit 2; }
	docker compose --profile '*' down
	for volume in $(DATA); do \
	    docker volume ls --quiet --filter label=com.docker.compose.project=$$(docker compose config | sed -n 's/^name: //p') \
	        --filter label=com.docker.compose.volume=$$volume | xargs -r docker volume rm || exit 1; \
	done
	docker compose run --rm -T $(if $(KEY),--volume $(abspath $(KEY)):/run/backup.key:ro) admin restore - $(if $(KEY),--key /run/backup.key) < $(BACKUP)
	docker compose up --detach --wait

pins:  ## Add the digests of the base images to their tags in .env (asks the registries)
	@for name in PYTHON_IMAGE POSTGRES_IMAGE MINIO_IMAGE CADDY_IMAGE; do \
	    image=$$(sed -n "s/^$$name=//p" .env | grep . || sed -n "s/^$$name=//p" .env.example); image=$${image%%@*}; \
	    digest=$$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$$image") || exit 1; \
	    touch .env; sed -i "/^$$name=/d" .env; echo "$$name=$$image@$$digest" | tee -a .env; \
	done

## ---- checks --------------------------------------------------------------------------------
# Whole files go to each worker in the order of their names; one more worker than cores, since some wait.
test: setup lint  ## Lint, type check and run all tests
	$(BIN)/pytest --numprocesses $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

lint: setup  ## Ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

conformance: setup  ## The SQL-on-FHIR conformance suite: report on the terminal and in its format
	$(BIN)/python -m tests.conformance.report --out sql-on-fhir-report.json

e2e: setup  ## The container stack end to end (needs a Docker engine with Compose)
	LAKEHOUSE_E2E=compose $(BIN)/pytest -x --verbose tests/e2e $(ARGS)

e2e-native: setup  ## The same without containers (needs versitygw: docs/runbook/end-to-end.md)
	LAKEHOUSE_E2E=native $(BIN)/pytest -x --verbose tests/e2e $(ARGS)

## ---- measurements --------------------------------------------------------------------------
bench: setup  ## The FHIR path stage by stage (ARGS="FOLDER --copies 5")
	$(BIN)/python -m benchmarks.main_job $(ARGS)

bench-views: setup  ## The ten views against hand-written SQL and an interpreter
	$(BIN)/python -m benchmarks.views $(ARGS)

.PHONY: help setup lock demo up down test lint conformance e2e e2e-native bench bench-views dashboards secrets rotate backup upgrade go-back pins
