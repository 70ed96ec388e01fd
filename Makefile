# The project's commands: `make help` lists them. Each one does its own set-up and needs only Python 3.11 or newer and a
# C++ compiler. Nothing outside this checkout is changed: environments are in .venv and .venvs, builds in build and dist.
#
# The package under test is always a regular install of the working tree, never the tree itself.

.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:
SHELL := bash

PYTHON ?= python3
# Arguments for the program that the target runs: make test ARGS="-k lease", make demo ARGS=--help
ARGS ?=
# A debug build and a release build are never in the same environment.
VENV ?= $(if $(filter-out 0,$(BUFPOOL_DEBUG)),.venvs/debug,.venv)
PY := $(CURDIR)/$(VENV)/bin/python
PIP := "$(PY)" -m pip --disable-pip-version-check --quiet

# Folders are listed too: their time changes when a file is added or removed.
SOURCES := setup.py pyproject.toml MANIFEST.in README.md LICENSE \
	$(shell find src \( -name __pycache__ -o -name '*.egg-info' \) -prune -o ! -name '*.so' ! -name src -print)

# Prints the requirements of the named extras, one a line; "build" names those of the build and the package itself.
define REQUIREMENTS
import sys, tomllib
from pathlib import Path

config = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
project = config["project"]
for extra in sys.argv[1:]:
    if extra == "build":
        print(*config["build-system"]["requires"], *project["dependencies"], sep="\n")
    else:
        print(*project["optional-dependencies"][extra], sep="\n")
endef
export REQUIREMENTS

##@ Use

demo: $(VENV)/.installed $(VENV)/.extra-demo ## Send real photographs through a pipeline, plain and pooled: a table and a picture
	"$(PY)" -m bufpool demo $(ARGS)

bench: $(VENV)/.installed $(VENV)/.extra-bench $(VENV)/.extra-peers ## Measure every claim of speed, beside its target (ARGS=--quick)
	"$(PY)" -m benchmarks $(ARGS)

scaling: $(VENV)/.installed $(VENV)/.extra-bench ## Measure how checkouts scale with threads
	"$(PY)" -m benchmarks.scaling.core_scaling
	"$(PY)" -m benchmarks --row threads --row threads-handoff

figures: $(VENV)/.installed $(VENV)/.extra-demo $(VENV)/.extra-bench $(VENV)/.extra-peers ## Measure everything for docs/performance.md and the README's table (ARGS=--render: no run)
	"$(PY)" -m benchmarks.page.figures $(ARGS)

picture: $(VENV)/.installed $(VENV)/.extra-demo ## Run the demo for the README's picture; needs a quiet machine
	"$(PY)" -m bufpool demo --output docs/figures/demo.png $(ARGS)
	@# In 256 colours it has a third of the size, and looks the same.
	"$(PY)" -c 'import sys; from PIL import Image; Image.open(sys.argv[1]).convert("RGB").quantize().save(sys.argv[1], optimize=True)' docs/figures/demo.png

programs: $(VENV)/.installed $(VENV)/.extra-programs ## Measure whole programs on real data, beside plain NumPy and other allocators
	"$(PY)" -m benchmarks.programs $(ARGS)

##@ Test

# The extras that the suite needs. Without those of the demo and the benchmarks, their tests skip themselves.
TEST_EXTRAS ?= test demo bench peers

test: $(VENV)/.installed $(addprefix $(VENV)/.extra-,$(TEST_EXTRAS)) ## Run the whole test suite
	"$(PY)" -m pytest $(ARGS)

numpy-suite: $(VENV)/.installed $(VENV)/.extra-test $(VENV)/.extra-dev ## Run NumPy's own fast tests under a pool (PART=ci: some of them)
	bash tests/verify/numpy_suite/run "$(PY)" $(PART)

prove: $(VENV)/.installed $(VENV)/.extra-test ## Try to break it: model checker, sanitizers, stress, faults, seeded bugs (ARGS=--full)
	"$(PY)" -m tests.verify $(ARGS)

exits: $(VENV)/.installed $(VENV)/.extra-test ## Run nine kinds of program to their end, 500 times each, and fork 500 times: none may hang
	"$(PY)" -m tests.verify exits --full

soak: $(VENV)/.installed $(VENV)/.extra-test ## Use arrays of varying sizes for ten minutes: memory must not grow
	"$(PY)" -m tests.verify soak --full

mutants: $(VENV)/.installed $(VENV)/.extra-test ## Put bugs into the sources, one at a time: a test must fail for each (ARGS=lease: some)
	"$(PY)" -m tests.verify.seed_bugs $(ARGS)

compare: $(VENV)/.installed $(VENV)/.extra-bench ## Compare the speed of the hot paths with the stored baseline (ARGS=--require: fail without one)
	"$(PY)" -m benchmarks.regression.compare $(ARGS)

baseline: $(VENV)/.installed $(VENV)/.extra-bench ## Measure and store a new baseline
	"$(PY)" -m benchmarks.regression.compare --renew

portable: $(VENV)/.installed $(VENV)/.extra-test $(VENV)/.extra-portable ## Compile for Windows, macOS and aarch64 with zig, run in emulators (PART=ci: only compile)
	"$(PY)" -m tests.verify portable $(if $(PART),,--full)

matrix: ## Run the suite on each Python found, or on those in PYTHONS
	@set -eu; found=$$("$(PYTHON)" tools/pythons.py $(PYTHONS)); failed=""; \
	while read -r version python; do \
		echo "== Python $$version ($$python)"; \
		$(MAKE) --no-print-directory test PYTHON="$$python" VENV=".venvs/$$version" TEST_EXTRAS=test \
			</dev/null || failed="$$failed $$version"; \
	done <<<"$$found"; \
	tested=$$(cut -d' ' -f1 <<<"$$found" | paste -sd' '); left_out=$$("$(PYTHON)" tools/pythons.py --left-out $$tested); \
	echo "matrix: tested $$tested; left out $${left_out:-none}"; \
	if [ -n "$$failed" ]; then echo "matrix: failed on$$failed" >&2; exit 1; fi

##@ Check

lint: $(VENV)/.extra-dev ## Check style, spelling, C++ headers, workflows
	"$(PY)" -m ruff check
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cython-lint src
	"$(VENV)/bin/codespell"
	"$(VENV)/bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml
	"$(VENV)/bin/check-jsonschema" --builtin-schema vendor.dependabot .github/dependabot.yml
	"$(VENV)/bin/check-jsonschema" --builtin-schema vendor.github-issue-forms $$(ls .github/ISSUE_TEMPLATE/*.yml | grep -v config.yml)
	"$(VENV)/bin/check-jsonschema" --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	"$(VENV)/bin/zizmor" --persona=pedantic --offline --quiet --no-progress .github
	@# The list of wheels changes only on purpose.
	@for system in "linux x86_64" "linux aarch64" "macos x86_64" "macos arm64" "windows AMD64" "windows ARM64"; do \
		"$(VENV)/bin/cibuildwheel" --print-build-identifiers --platform $${system% *} --archs $${system#* } || exit 1; \
	done | diff tools/wheels.txt - || { echo "lint: tools/wheels.txt lists other wheels than cibuildwheel would build" >&2; exit 1; }
	@# Each file of a core includes what it uses, and compiles alone and without a warning.
	@for file in $$(find src/bufpool -path '*core/*' -a \( -name '*.hpp' -o -name '*.cpp' \)); do \
		echo "#include \"$${file#src/}\"" | $(CXX) -x c++ -std=c++17 -O1 -Wall -Wextra -Wpedantic -Werror \
			-fno-exceptions -fno-rtti -Isrc -S -o /dev/null - || { echo "in $$file" >&2; exit 1; }; done
	@echo "lint: clean"

format: $(VENV)/.extra-dev ## Sort imports and format Python files
	"$(PY)" -m ruff check --select I --fix
	"$(PY)" -m ruff format

typecheck: $(VENV)/.installed $(VENV)/.extra-test $(VENV)/.extra-demo $(VENV)/.extra-dev ## Check types, and stubs against compiled modules
	"$(PY)" -m mypy
	"$(PY)" -m mypy.stubtest --concise --mypy-config-file pyproject.toml --allowlist tests/project/stubtest_allowlist.txt --ignore-unused-allowlist bufpool
	"$(VENV)/bin/pyright" --pythonpath "$(PY)"
	@# Of the installed package: a user's type checker must know the type of everything.
	@cd tests && export PATH="$(CURDIR)/$(VENV)/bin:$$PATH" && echo "pyright --verifytypes bufpool" && \
	told=$$(pyright --verifytypes bufpool --ignoreexternal) && grep score <<<"$$told" || { echo "$$told"; exit 1; }

api: $(VENV)/.installed $(VENV)/.extra-test ## Renew tests/project/api.txt, the list of public names, and the docstrings in stubs
	"$(PY)" -m tests.support.stub_docstrings
	"$(PY)" -m tests.support.public_api
	@git diff --stat -- tests/project/api.txt 'src/*.pyi'

##@ Package

# The extras that are installed beside a wheel: those with wheels for every Python. Without the others the tests of the demo
# skip themselves. The benchmarks and their tests are in the checkout alone.
WHEEL_EXTRAS ?= test

wheels: $(VENV)/.extra-wheels ## Build and test a wheel for each Python found, or for those in PYTHONS
	"$(PY)" tools/wheels.py --pythons "$(PYTHONS)" --extras $(WHEEL_EXTRAS) $(if $(TWICE),--twice) -- $(ARGS)

reproducible: $(VENV)/.extra-wheels ## Build the sdist and a wheel twice, in two places: the bytes must be equal
	"$(PY)" tools/wheels.py --pythons "$(or $(PYTHONS),'$(PYTHON)')" --twice --untried

release: ## Commit and tag VERSION=1.2.3 (ARGS=--dry-run: only say so); pushing the tag publishes it
	"$(PYTHON)" tools/release.py $(VERSION) $(ARGS)

##@ Document

docs: $(VENV)/.installed $(VENV)/.extra-docs ## Build the documentation in docs/_build/html; a warning is an error
	"$(PY)" -m sphinx --fail-on-warning --keep-going --nitpicky --fresh-env --quiet docs docs/_build/html
	@echo "docs: docs/_build/html/index.html"

##@ Other

clean: ## Remove everything that these commands made
	rm -rf .venv .venvs build dist docs/_build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find src tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	find src -name '*.so' -delete

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\n  Variables: ARGS=... for the program; PYTHON=python3.12 when an environment is made; BUFPOOL_DEBUG=1\n'

# Everything that the other commands would set up one by one, so that several of them can run at the same time.
setup: $(VENV)/.installed $(addprefix $(VENV)/.extra-,test demo bench peers dev docs wheels portable) ## Make the environment and the build for all commands

# Set-up. The files below are stamps: a stamp exists when its step was done, and has the time of its last run.

$(VENV)/.created:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "bufpool needs Python 3.11 or newer, and $(PYTHON) is $$("$(PYTHON)" --version 2>&1): make PYTHON=..." >&2; exit 1; }
	"$(PYTHON)" -m venv --clear "$(VENV)"
	$(PIP) install --upgrade pip
	@touch $@

$(VENV)/.extra-%: pyproject.toml $(VENV)/.created
	"$(PY)" -c "$$REQUIREMENTS" $* >$@.txt
	$(PIP) install --prefer-binary -r $@.txt
	@touch $@

# Compiled in build/, so that only what changed is compiled again. Other files that were copied there before are deleted.
$(VENV)/.installed: $(SOURCES) $(VENV)/.extra-build
	@find build -path '*/lib.*' -type f ! -name '*.so' -delete 2>/dev/null || true
	$(PIP) install --no-build-isolation --no-deps --force-reinstall .
	@touch $@

.PHONY: api baseline bench clean compare demo docs exits figures format help lint matrix mutants numpy-suite picture portable programs prove release reproducible scaling setup soak test typecheck wheels
