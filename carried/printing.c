// SPDX-License-Identifier: GPL-2.0
/*
 * Printing for the crates. They print with %pA, and a kernel without CONFIG_RUST warns about it.
 * bindings.awk redirects three functions to those below. These let the kernel crate format the text,
 * and print the text.
 */
#include <linux/dev_printk.h>
#include <linux/printk.h>
#include <linux/seq_file.h>
#include <linux/stdarg.h>
#include <linux/string.h>

#include "versions.h"

/* The length of a line. printk cuts longer lines off. */
#define LINE 960

static void make_line(char line[LINE], const void *arguments)
{
	char *end = rust_fmt_argument(line, line + LINE - 1, arguments);

	*min(end, line + LINE - 1) = '\0';
}

/* The format is a level of two characters, and "%pA" or "%s: %pA". */
int carried__printk(const char *format, ...)
{
	char line[LINE];
	const char *name = NULL;
	va_list values;

	va_start(values, format);
	if (format[3] == 's')
		name = va_arg(values, const char *);
	make_line(line, va_arg(values, const void *));
	va_end(values);
	return _printk("%.2s%s%s%s", format, name ?: "", name ? ": " : "", line);
}

/* The format is "%pA", also in the next function. */
void carried__dev_printk(const char *level, const struct device *dev, const char *format, ...)
{
	char line[LINE];
	va_list values;

	va_start(values, format);
	make_line(line, va_arg(values, const void *));
	va_end(values);
	_dev_printk(level, dev, "%s", line);
}

void carried_seq_printf(struct seq_file *file, const char *format, ...)
{
	const void *arguments;
	va_list values;
	char *buffer;
	size_t size = seq_get_buf(file, &buffer);

	va_start(values, format);
	arguments = va_arg(values, const void *);
	va_end(values);
	if (size) {
		size_t length = rust_fmt_argument(buffer, buffer + size, arguments) - buffer;

		/* seq_file calls again with a larger buffer if the text does not fit. */
		seq_commit(file, length < size ? length : -1);
	}
}
