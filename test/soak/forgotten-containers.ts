import { readFileSync } from 'node:fs';
import type { Host } from '../lab/host.ts';
import { childrenOf, familyOf, signal, untilGone } from '../lab/processes.ts';

/**
 * An engine that is killed between making a container's process and starting it forgets the container: the process waits for ever, in a
 * namespace that the engine's own bridge has a link to. Ends what no engine knows of. @returns what there was.
 */
export async function endForgotten(host: Host): Promise<string[]> {
  const known = new Set((await host.docker(['ps', '-aq', '--no-trunc'])).stdout.split('\n'));
  const forgotten = familyOf(host.options.holderPid).flatMap((pid) => {
    const id = containerOf(commandOf(pid));
    return id === undefined || known.has(id) ? [] : [{ pid, id }];
  });
  for (const { pid } of forgotten) {
    const processes = [...childrenOf(pid), pid];
    signal(processes, 'SIGKILL');
    await untilGone(processes);
  }
  return forgotten.map(
    ({ id }) => `the engine of ${host.name} had forgotten container ${id.slice(0, 12)}, which was ended`,
  );
}

/** Pure: the container that a command line is the shim of, if it is one. */
export function containerOf(command: readonly string[]): string | undefined {
  if (command[0]?.includes('containerd-shim') !== true) return undefined;
  const at = command.indexOf('-id');
  return at < 0 ? undefined : command[at + 1];
}

function commandOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}
