# SPDX-License-Identifier: GPL-2.0
MUTANT_SEEDS ?= 20000

.PHONY: mutants
mutants:
	selftests/mutants/run.py --seeds $(MUTANT_SEEDS)
