# make reproduce   from nothing: environment, notebooks 01 and 03 to 06, one seed of each method; README has its time
# make test        environment, then ruff, pytest, nbval over notebooks 01 and 03 to 06, 02 and 07 at toy sizes
# make baselines   the baselines on the 2-D example and small digits, 3 seeds (notebook 07)
# make notebooks   run the committed notebooks anew, in place (after a change of a .py)
# make sweep       CONFIG=workflow/NAME.yaml: the runs of that file which are not done; docs/sweeps.md
# make ledger      the runs behind the claims but those on baselines, then figures, results/claims.json and the tables
#                  of README and docs
# make book        these pages as a web book, from the committed notebooks: build/book/index.html;
#                  BOOK_REPOSITORY=owner/name links files to GitHub and adds launch buttons
# make gpu         on a GPU, in stages: tests, speed, a short CIFAR-10 (docs/performance.md); PYTHON=python3: no pip

PYTHON ?= python3

NOTEBOOKS := 01_density_ratio_2d 02_what_each_objective_learns 03_ratio_accuracy 04_biased_datasets \
             05_train 06_results 07_baselines

# Runs at a time: JOBS, or one for each GPU slot, or two of one thread, for the networks are small.
ENV   := PATH="$(CURDIR)/.venv/bin:$$PATH" OMP_NUM_THREADS=1
SWEEP := $(ENV) python -m workflow.sweep $(if $(JOBS),--jobs $(JOBS)) $(if $(PROFILE),--profile $(PROFILE))

.PHONY: reproduce sweep ledger baselines figures claims gpu test notebooks book

reproduce: .venv/ready
	$(SWEEP) --again workflow/reproduce.yaml
	$(MAKE) --no-print-directory figures
	@echo "done: figures and numbers are under results/, executed notebooks under build/sweep/"

sweep: .venv/ready
	$(SWEEP) $(or $(CONFIG),$(error CONFIG=FILE is missing: make sweep CONFIG=workflow/ledger.yaml))

ledger: .venv/ready
	$(SWEEP) workflow/ledger.yaml
	$(MAKE) --no-print-directory figures claims

baselines: .venv/ready
	$(SWEEP) workflow/baselines.yaml
	$(SWEEP) --again workflow/baselines_all.yaml
	$(MAKE) --no-print-directory claims

figures: .venv/ready
	$(SWEEP) --again workflow/figures.yaml

claims: .venv/ready
	$(ENV) python -m ledger
	$(ENV) python -m ledger.report

# A node without internet has no pip to ask: with PYTHON given, that Python runs the stages as it is.
GPU_PYTHON := $(if $(filter file,$(origin PYTHON)),.venv/bin/python,$(PYTHON))

gpu: $(if $(filter file,$(origin PYTHON)),.venv/ready)
	$(GPU_PYTHON) gpu/run.py all

test: .venv/ready
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	OMP_NUM_THREADS=1 .venv/bin/pytest -n 2 --dist loadfile
	$(ENV) python tests/support/run_nbval.py

notebooks: .venv/ready
	$(ENV) python notebooks/execute.py $(NOTEBOOKS)
	$(MAKE) --no-print-directory claims

book: .venv/ready
	$(ENV) python -m sphinx -W --keep-going -q -c book -d build/doctrees . build/book
	@echo "done: build/book/index.html"

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test,book,sweep,slurm]"
	touch $@
