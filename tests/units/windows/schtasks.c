/* schtasks: stands in for the Task Scheduler's program, of which Wine 8 has no more than a shell.

   Keeps, in its own folder, a sign that there is a task (`task.kept`) and one that it is to be run
   (`task.wanted`), and writes down what it is told to change (`task.told`). It never looks into a task: its
   tests do. */
#include <stdio.h>
#include <string.h>
#include <windows.h>

static int sign(const char *name)
{
	FILE *file = fopen(name, "wb");

	return file && fclose(file) == 0 ? 0 : 1;
}

static int is_there(const char *name)
{
	return GetFileAttributesA(name) != INVALID_FILE_ATTRIBUTES;
}

int main(int count, char **words)
{
	char folder[MAX_PATH];
	const char *verb = count > 1 ? words[1] : "";
	FILE *told;

	if (!GetModuleFileNameA(NULL, folder, sizeof folder) || !strrchr(folder, '\\'))
		return 9;
	*strrchr(folder, '\\') = 0;
	if (!SetCurrentDirectoryA(folder))
		return 9;
	if (!strcmp(verb, "/?"))
		return 0;
	if (!strcmp(verb, "/Query"))
		return is_there("task.kept") && puts("<Task version=\"1.2\"/>") >= 0 ? 0 : 1;
	told = fopen("task.told", "ab");
	if (!told)
		return 9;
	for (int at = 1; at < count; at++)
		fprintf(told, at > 1 ? " %s" : "%s", words[at]);
	fprintf(told, "\n");
	fclose(told);
	if (!strcmp(verb, "/Create"))
		return sign("task.kept");
	if (!strcmp(verb, "/Run"))
		return is_there("task.kept") ? sign("task.wanted") : 1;
	if (!strcmp(verb, "/Delete"))
		return remove("task.kept") ? 1 : 0;
	return 2;
}
