# SPDX-License-Identifier: GPL-2.0
# extack-texts.awk: every sentence with which the module's source refuses something,
# with its place, as a C table: the literals in calls of pbft_refuse() and
# pbft_refuse_text(), and those returned or assigned to be told so. Names of things,
# which stand inside other sentences, have no verb and begin with an article.

function emit(text) {
	if (split(text, words, " ") < 3)
		return
	if (!calling && text ~ /^(the|our own) / && text !~ / (is|are|must|cannot|refuses|does|lacks) /)
		return
	printf "\t{ \"%s:%d\", \"%s\" },\n", file, FNR, text
}

FNR == 1 {
	file = FILENAME
	sub(/.*\//, "", file)
	calling = 0
}

/^#|^ \*|^\/\*/ { next }

{
	if ($0 ~ /pbft_refuse(_text)?\(/)
		calling = 1
	told = calling || $0 ~ /return "/ || $0 ~ /\*why = "/
	line = $0
	while (told && match(line, /"([^"\\]|\\.)*"/)) {
		emit(substr(line, RSTART + 1, RLENGTH - 2))
		line = substr(line, RSTART + RLENGTH)
	}
	if ($0 ~ /;$|\) : 0;/)
		calling = 0
}

BEGIN {
	print "// SPDX-License-Identifier: GPL-2.0"
	print "/* Made by extack-texts.awk from kmod/. */"
	print "#include \"nl-refusals.h\"\n"
	print "const struct extack_text extack_texts[] = {"
}

END { print "\t{ NULL, NULL }\n};" }
