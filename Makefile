# The project's commands: `make help` lists them. Each one does all the set-up that it needs by itself and wants only
# Python 3.11 or newer and a C++ compiler. Nothing outside this checkout is changed: environments live in .venv and
# .venvs, builds in build and dist.
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

demo: $(VENV)/.installed $(VENV)/.extra-demo ## Real photographs through a pipeline, plain and pooled: a table and a picture
	"$(PY)" -m bufpool demo $(ARGS)

bench: $(VENV)/.installed $(VENV)/.extra-bench $(VENV)/.extra-peers ## Every claim of speed on this machine, beside its target (ARGS=--quick)
	"$(PY)" -m benchmarks $(ARGS)

scaling: $(VENV)/.installed $(VENV)/.extra-bench ## How checkout scales with threads: the core; a free-threaded Python's objects
	"$(PY)" -m benchmarks.scaling.core_scaling
	"$(PY)" -m benchmarks --row threads --row threads-handoff

figures: $(VENV)/.installed $(VENV)/.extra-demo $(VENV)/.extra-bench $(VENV)/.extra-peers ## One run of all: docs/performance.md and the README's table (ARGS=--render: no run)
	"$(PY)" -m benchmarks.page.figures $(ARGS)

programs: $(VENV)/.installed $(VENV)/.extra-programs ## Whole programs on real data: time and memory beside plain NumPy, glibc, jemalloc and mimalloc
	"$(PY)" -m benchmarks.programs $(ARGS)

##@ Prove

# The extras that the suite needs; without those of the demo and the bench, their tests skip themselves.
TEST_EXTRAS ?= test demo bench peers

test: $(VENV)/.installed $(addprefix $(VENV)/.extra-,$(TEST_EXTRAS)) ## The whole test suite
	"$(PY)" -m pytest $(ARGS)

numpy-suite: $(VENV)/.installed $(VENV)/.extra-test $(VENV)/.extra-dev ## NumPy's own fast tests under an active pool (PART=ci: a part of them)
	bash tests/verify/numpy_suite/run "$(PY)" $(PART)

prove: $(VENV)/.installed $(VENV)/.extra-test ## Try to break it: model checker, sanitizers, stress, faults, seeded bugs (ARGS=--full)
	"$(PY)" -m tests.verify $(ARGS)

exits: $(VENV)/.installed $(VENV)/.extra-test ## 500 runs of each of nine kinds of program that end, and 500 forks: none may hang
	"$(PY)" -m tests.verify exits --full

soak: $(VENV)/.installed $(VENV)/.extra-test ## Ten minutes of arrays of varying sizes: memory beside plain NumPy's, and no growth
	"$(PY)" -m tests.verify soak --full

mutants: $(VENV)/.installed $(VENV)/.extra-test ## Seed each bug in turn and see that a test notices, about ten minutes (ARGS=lease: some)
	"$(PY)" -m tests.verify.seed_bugs $(ARGS)

compare: $(VENV)/.installed $(VENV)/.extra-bench ## Ratios of the hot paths against the stored baseline: a quarter worse fails (ARGS=--require: nothing to compare too)
	"$(PY)" -m benchmarks.regression.compare $(ARGS)

baseline: $(VENV)/.installed $(VENV)/.extra-bench ## Measure these ratios anew and store them
	"$(PY)" -m benchmarks.regression.compare --renew

portable: $(VENV)/.installed $(VENV)/.extra-test $(VENV)/.extra-portable ## For Windows, macOS, aarch64 by zig: compiled, run in emulators (PART=ci: compiled)
	"$(PY)" -m tests.verify portable $(if $(PART),,--full)

matrix: ## The suite on each interpreter found, or on those in PYTHONS
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

lint: $(VENV)/.extra-dev ## Style of Python, Cython, C++ headers, spelling, workflows
	"$(PY)" -m ruff check
	PATH="$(CURDIR)/$(VENV)/bin:$$PATH" cython-lint src
	"$(VENV)/bin/codespell"
	"$(VENV)/bin/check-jsonschema" --builtin-schema vendor.github-workflows .github/workflows/*.yml
	"$(VENV)/bin/check-jsonschema" --builtin-schema vendor.dependabot .github/dependabot.yml
	"$(VENV)/bin/check-jsonschema" --builtin-schema vendor.github-issue-forms $$(ls .github/ISSUE_TEMPLATE/*.yml | grep -v config.yml)
	"$(VENV)/bin/check-jsonschema" --builtin-schema vendor.github-issue-config .github/ISSUE_TEMPLATE/config.yml
	"$(VENV)/bin/zizmor" --persona=pedantic --offline --quiet --no-progress .github
	@# A Python or a system that is lost from the wheels is lost from this list.
	@for system in "linux x86_64" "linux aarch64" "macos x86_64" "macos arm64" "windows AMD64" "windows ARM64"; do \
		"$(VENV)/bin/cibuildwheel" --print-build-identifiers --platform $${system% *} --archs $${system#* } || exit 1; \
	done | diff tools/wheels.txt - || { echo "lint: tools/wheels.txt lists other wheels than cibuildwheel would build" >&2; exit 1; }
	@# Each file of a core stands on its own: it includes what it uses, and compiles without a warning.
	@for file in $$(find src/bufpool -path '*core/*' -a \( -name '*.hpp' -o -name '*.cpp' \)); do \
		echo "#include \"$${file#src/}\"" | $(CXX) -x c++ -std=c++17 -O1 -Wall -Wextra -Wpedantic -Werror \
			-fno-exceptions -fno-rtti -Isrc -S -o /dev/null - || { echo "in $$file" >&2; exit 1; }; done
	@echo "lint: clean"

format: $(VENV)/.extra-dev ## Sort imports and lay out Python files
	"$(PY)" -m ruff check --select I --fix
	"$(PY)" -m ruff format

typecheck: $(VENV)/.installed $(VENV)/.extra-test $(VENV)/.extra-demo $(VENV)/.extra-dev ## Types of the package, examples and benchmarks, stubs against modules
	"$(PY)" -m mypy
	"$(PY)" -m mypy.stubtest --concise --mypy-config-file pyproject.toml --allowlist tests/project/stubtest_allowlist.txt --ignore-unused-allowlist bufpool
	"$(VENV)/bin/pyright" --pythonpath "$(PY)"
	@# Of the package as it is installed: other people's checkers know the type of everything.
	@cd tests && export PATH="$(CURDIR)/$(VENV)/bin:$$PATH" && echo "pyright --verifytypes bufpool" && \
	told=$$(pyright --verifytypes bufpool --ignoreexternal) && grep score <<<"$$told" || { echo "$$told"; exit 1; }

api: $(VENV)/.installed $(VENV)/.extra-test ## Renew tests/project/api.txt, the list of public names, and the docstrings in stubs
	"$(PY)" -m tests.support.stub_docstrings
	"$(PY)" -m tests.support.public_api
	@git diff --stat -- tests/project/api.txt 'src/*.pyi'

##@ Package

# The extras beside a wheel: what every Python has wheels of. Tests of the demo skip themselves, and those of the
# benchmarks too, which are in the checkout alone.
WHEEL_EXTRAS ?= test

wheels: $(VENV)/.extra-wheels ## From the sdist, a wheel for each Python found or in PYTHONS: looked at, tried elsewhere
	"$(PY)" tools/wheels.py --pythons "$(PYTHONS)" --extras $(WHEEL_EXTRAS) $(if $(TWICE),--twice) -- $(ARGS)

reproducible: $(VENV)/.extra-wheels ## The sdist and a wheel built twice, as by two people in two places: the same bytes
	"$(PY)" tools/wheels.py --pythons "$(or $(PYTHONS),'$(PYTHON)')" --twice --untried

release: ## State, describe and tag VERSION=1.2.3 (ARGS=--dry-run: say what would be done); a push of the tag publishes
	"$(PYTHON)" tools/release.py $(VERSION) $(ARGS)

##@ Document

docs: $(VENV)/.installed $(VENV)/.extra-docs ## The documentation, in docs/_build/html; a warning is an error
	"$(PY)" -m sphinx --fail-on-warning --keep-going --nitpicky --fresh-env --quiet docs docs/_build/html
	@echo "docs: docs/_build/html/index.html"

##@ Keep house

clean: ## Remove everything that these commands made
	rm -rf .venv .venvs build dist docs/_build src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks
	find src tests benchmarks examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	find src -name '*.so' -delete

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))
	@printf '\n  Variables: ARGS=... for the program; PYTHON=python3.12 when an environment is made; BUFPOOL_DEBUG=1\n'

# All that the other commands would set up one by one, so that several of them can run at once.
setup: $(VENV)/.installed $(addprefix $(VENV)/.extra-,test demo bench peers dev docs wheels portable) ## Environment and build for every command, at once

# Set-up. The files below are stamps: they exist when the step they name is done, and are as old as its last run.

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

# Compiled in build/, so that only what changed is compiled again; files copied there before are not trusted.
$(VENV)/.installed: $(SOURCES) $(VENV)/.extra-build
	@find build -path '*/lib.*' -type f ! -name '*.so' -delete 2>/dev/null || true
	$(PIP) install --no-build-isolation --no-deps --force-reinstall .
	@touch $@

.PHONY: api baseline bench clean compare demo docs exits figures format help lint matrix mutants numpy-suite portable programs prove release reproducible scaling setup soak test typecheck wheels
