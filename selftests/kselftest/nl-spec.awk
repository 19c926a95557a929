# SPDX-License-Identifier: GPL-2.0
# nl-spec.awk: the tables of nl-spec.h from Documentation/netlink/specs/pbft.yaml.
# They assert at compile time that the specification and the uapi header number
# everything alike, and that neither has more than the other.

function constant(s) {
	s = prefix s
	gsub(/-/, "_", s)
	return toupper(s)
}

function limit(v) {
	return v in value ? value[v] : v
}

function end_attr() {
	if (attr == "")
		return
	check[++checks] = constant(attr) " == " number
	printf "\t{ .name = \"%s\", .id = %s, .type = SPEC_%s, .nested = %s,\n", \
		attr, constant(attr), toupper(type), nested == "" ? "NULL" : "spec_" nested
	printf "\t  .exact = %d, .min = %d, .max = %d },\n", exact, least, most
	number++
	attr = type = nested = ""
	exact = least = most = 0
}

function end_set() {
	end_attr()
	if (set == "")
		return
	print "\t{ 0 }\n};\n"
	last = prefix
	sub(/a-$/, "a-max", last)
	gsub(/-/, "_", last)
	check[++checks] = toupper(last) " == " number - 1
	set = ""
}

function end_op() {
	if (op == "")
		return
	check[++checks] = constant(op) " == " ++cmds
	ops = ops sprintf("\t{ .name = \"%s\", .cmd = %s, .request = %s, .dump = %s,\n", \
		op, constant(op), request ? "true" : "false", dump ? "true" : "false")
	ops = ops "\t  .attrs = { " list "} },\n"
	op = list = ""
	request = dump = 0
}

BEGIN {
	print "// SPDX-License-Identifier: GPL-2.0"
	print "/* Made by nl-spec.awk from Documentation/netlink/specs/pbft.yaml. */"
	print "#include \"nl-spec.h\"\n"
}

/^[a-z-]+:/ {
	end_set()
	section = $1
	next
}

section == "definitions:" && $1 == "name:" { name = $2 }
section == "definitions:" && $1 == "value:" { value[name] = $2 }

section == "attribute-sets:" && /^    name:/ {
	end_set()
	set = $2
	number = 1
}
section == "attribute-sets:" && /^    name-prefix:/ {
	prefix = $2
	printf "const struct spec_attr spec_%s[] = {\n", set
}
section == "attribute-sets:" && /^        name:/ {
	end_attr()
	attr = $2
}
section == "attribute-sets:" && /^        type:/ { type = $2 }
section == "attribute-sets:" && /^        value:/ { number = $2 }
section == "attribute-sets:" && /^        nested-attributes:/ { nested = $2 }
section == "attribute-sets:" && /^          exact-len:/ { exact = limit($2) }
section == "attribute-sets:" && /^          min-len:/ { least = limit($2) }
section == "attribute-sets:" && /^          max-len:/ { most = limit($2) }

section == "operations:" && /^  name-prefix:/ { prefix = $2 }
section == "operations:" && /^      name:/ {
	end_op()
	op = $2
	taking = 0
}
section == "operations:" && /^      do:/ { mode = "do" }
section == "operations:" && /^      dump:/ { mode = "dump"; dump = 1 }
section == "operations:" && /^      event:/ { mode = "event" }
section == "operations:" && /^        (request|reply):/ { part = $1 }
section == "operations:" && $1 == "attributes:" {
	taking = mode == "do" && part == "request:" || mode == "event"
	request = request || mode == "do" && part == "request:"
	anchor = $2 ~ /^&/ ? substr($2, 2) : ""
	if ($2 ~ /^[*]/ && taking)
		list = list known[substr($2, 2)]
}
section == "operations:" && /^ +- [a-z-]+$/ {
	a = "PBFT_A_" toupper($2)
	gsub(/-/, "_", a)
	if (taking)
		list = list a ", "
	if (anchor != "")
		known[anchor] = known[anchor] a ", "
}

END {
	end_op()
	printf "const struct spec_op spec_ops[] = {\n%s\t{ 0 }\n};\n\n", ops
	check[++checks] = "PBFT_CMD_MAX == " cmds
	for (i = 1; i <= checks; i++)
		printf "_Static_assert(%s, \"pbft.yaml and linux/pbft.h differ\");\n", check[i]
}
