import { spawn } from 'node:child_process';
import { readdir, readFile, readlink, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { type Clock, sleep } from '../../../proto/runtime/clock.ts';
import { WaggleError } from '../../../proto/runtime/errors.ts';
import { TUNNEL_DEVICE } from '../encryption/guard-ruleset.ts';

export const WIREGUARD_GO = 'wireguard-go';
/** Where it listens for `wg` (fixed in wireguard-go, ipc/uapi_unix.go). */
const SOCKET = `/var/run/wireguard/${TUNNEL_DEVICE}.sock`;
const START_MS = 5_000;
const END_MS = 2_000;
const POLL_MS = 20;

/**
 * WireGuard in user space: one process, which owns the device (a tun that goes with it). It is no child of the daemon's session and
 * outlives it, so that containers go on talking; the next daemon finds it by what it runs and where.
 */
export class WireguardProcess {
  readonly #clock: Clock;
  readonly #listeners = new Set<() => void>();

  constructor(modules: { clock: Clock }) {
    this.#clock = modules.clock;
  }

  /** Called when a process that this object has started, and that came up, has ended. */
  onExit(listener: () => void): void {
    this.#listeners.add(listener);
  }

  /** Resolves when it takes commands. @throws WaggleError unavailable when it does not come up in 5 s. */
  async start(): Promise<void> {
    // -f: it would else put itself into the background in our process group, and end with a Ctrl-C at our terminal.
    const child = spawn(WIREGUARD_GO, ['-f', TUNNEL_DEVICE], { detached: true, stdio: 'ignore' });
    let ended: string | undefined;
    let isUp = false;
    child.on('error', (error) => {
      ended = error.message;
    });
    child.on('exit', (code, name) => {
      ended = `${WIREGUARD_GO} ended with ${name ?? code}`;
      // Who waits for it to come up is told below, and would else take this for a reason to start one more at once.
      if (isUp) for (const listener of this.#listeners) listener();
    });
    child.unref();
    const startedAtMs = this.#clock.monotonic();
    while (!(await listens(SOCKET))) {
      if (ended !== undefined) throw new WaggleError('unavailable', ended);
      if (this.#clock.monotonic() - startedAtMs > START_MS) {
        child.kill('SIGKILL');
        throw new WaggleError('unavailable', `${WIREGUARD_GO} is not up after ${START_MS} ms`);
      }
      await sleep(this.#clock, POLL_MS);
    }
    isUp = true;
  }

  /** Ends every such process of this host, whoever started it. None is no error. */
  async end(): Promise<void> {
    for (const name of ['SIGTERM', 'SIGKILL'] as const) {
      const pids = await findProcesses();
      for (const pid of pids) kill(pid, name);
      const startedAtMs = this.#clock.monotonic();
      while ((await findProcesses()).length > 0 && this.#clock.monotonic() - startedAtMs < END_MS) {
        await sleep(this.#clock, POLL_MS);
      }
    }
    await rm(SOCKET, { force: true });
  }
}

/** By command line and network namespace: another host's may be visible too, in another namespace. */
async function findProcesses(): Promise<number[]> {
  const own = await readlink('/proc/self/ns/net');
  const entries = (await readdir('/proc')).filter((entry) => /^\d+$/.test(entry));
  const found = await Promise.all(entries.map(async (entry) => ((await isOurs(entry, own)) ? [Number(entry)] : [])));
  return found.flat();
}

/** A process may end while it is looked at; one that has ended and is not waited for has no command line. */
async function isOurs(entry: string, namespace: string): Promise<boolean> {
  try {
    const [file = '', ...args] = (await readFile(`/proc/${entry}/cmdline`, 'utf8')).split('\0');
    if (!/(^|\/)wireguard-go$/.test(file) || !args.includes(TUNNEL_DEVICE)) return false;
    return (await readlink(`/proc/${entry}/ns/net`)) === namespace;
  } catch {
    return false;
  }
}

function kill(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended by itself.
  }
}

/** The file alone is not enough: it is there a moment before anybody listens, and `wg` then turns to the kernel, in vain. */
function listens(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(file, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}
