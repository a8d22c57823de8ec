/* console-event ctrl-c|ctrl-break|close|logoff|shutdown PID: tells one process of an event of its console.

   The way that the console itself goes: a thread in that process, begun at CtrlRoutine with the event's
   number. GenerateConsoleCtrlEvent would reach whole groups, knows two of the five events, and Wine 8 one.
   Ends with 0 once the process has been told, with 1 where it could not be; what it makes of it is its own
   business. A process that was begun in a group of its own (CREATE_NEW_PROCESS_GROUP) hears no Ctrl-C, and
   under Wine 8 nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

static const struct {
	const char *name;
	DWORD number;
} events[] = {
	{"ctrl-c", CTRL_C_EVENT},       {"ctrl-break", CTRL_BREAK_EVENT},  {"close", CTRL_CLOSE_EVENT},
	{"logoff", CTRL_LOGOFF_EVENT}, {"shutdown", CTRL_SHUTDOWN_EVENT},
};

static int failed(const char *what)
{
	fprintf(stderr, "console-event: %s: error %lu\n", what, GetLastError());
	return 1;
}

/* A process that is ending may never take the thread, and Wine waits for it all the same. */
static DWORD WINAPI give_up(void *unused)
{
	(void)unused;
	Sleep(5000);
	TerminateProcess(GetCurrentProcess(), 1);
	return 0;
}

static int tell(DWORD pid, DWORD event)
{
	/* System libraries lie at the same place in every process. */
	FARPROC routine = GetProcAddress(GetModuleHandleA("kernelbase.dll"), "CtrlRoutine");
	HANDLE process = OpenProcess(PROCESS_CREATE_THREAD | PROCESS_QUERY_INFORMATION | PROCESS_VM_OPERATION
	                                 | PROCESS_VM_READ | PROCESS_VM_WRITE,
	                             FALSE, pid);

	CreateThread(NULL, 0, give_up, NULL, 0, NULL);
	if (routine == NULL)
		return failed("no CtrlRoutine in this system");
	if (process == NULL)
		return failed("no such process");
	if (CreateRemoteThread(process, NULL, 0, (LPTHREAD_START_ROUTINE)(void *)routine,
	                       (void *)(ULONG_PTR)event, 0, NULL) == NULL)
		return failed("it takes no thread");
	return 0;
}

int main(int count, char **words)
{
	DWORD pid = count == 3 ? strtoul(words[2], NULL, 10) : 0;

	for (size_t i = 0; pid != 0 && i < sizeof events / sizeof *events; i++)
		if (strcmp(words[1], events[i].name) == 0)
			return tell(pid, events[i].number);
	fputs("usage: console-event ctrl-c|ctrl-break|close|logoff|shutdown PID\n", stderr);
	return 2;
}
