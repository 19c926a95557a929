# SPDX-License-Identifier: GPL-2.0
.PHONY: model
model:
	selftests/model/run.sh
