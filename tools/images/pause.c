/* What holds a pod's namespaces open: reaps its children and sleeps until it is told to stop. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static void reap(int signal_number) {
  (void)signal_number;
  while (waitpid(-1, 0, WNOHANG) > 0) {
  }
}

static void stop(int signal_number) {
  (void)signal_number;
  _exit(0);
}

int main(void) {
  struct sigaction action = {0};
  action.sa_handler = reap;
  action.sa_flags = SA_NOCLDSTOP;
  sigaction(SIGCHLD, &action, 0);
  action.sa_handler = stop;
  sigaction(SIGINT, &action, 0);
  sigaction(SIGTERM, &action, 0);
  for (;;) pause();
}
