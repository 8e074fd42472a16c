import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { eventually } from '../lab/eventually.ts';
import type { Host } from '../lab/host.ts';
import type { RunOptions, RunResult } from '../lab/run.ts';

/** Ends the program and waits until it has ended. */
export type StopServer = () => Promise<void>;

/**
 * Somewhere programs of this machine can run: a host, or the network of a container on it. Programs enter the container's network
 * namespace only, so that the way of the packets is the container's and the image need not have the program.
 */
export class Place {
  readonly host: Host;
  /** Where the other place reaches it. */
  readonly address: string;
  readonly #containerPid: number | undefined;

  constructor(host: Host, address: string, containerPid?: number) {
    this.host = host;
    this.address = address;
    this.#containerPid = containerPid;
  }

  run(command: readonly string[], options?: RunOptions): Promise<RunResult> {
    return this.host.exec(this.#inside(command), options);
  }

  /** Starts a program, which belongs to the caller. */
  open(command: readonly string[]): ChildProcessWithoutNullStreams {
    const [file, args] = this.host.inside(this.#inside(command));
    return spawn(file, args, { stdio: 'pipe' });
  }

  /** Starts a program and resolves once it has written `readyText`. */
  async serve(command: readonly string[], readyText: string): Promise<StopServer> {
    const child = this.open(command);
    child.stdin.end();
    let written = '';
    let ended = false;
    child.stdout.on('data', (chunk: Buffer) => (written = (written + chunk.toString()).slice(-4_000)));
    child.stderr.on('data', (chunk: Buffer) => (written = (written + chunk.toString()).slice(-4_000)));
    child.on('error', (error) => (written += error.message));
    const closed = new Promise<void>((resolve) => {
      child.on('close', () => {
        ended = true;
        resolve();
      });
    });
    const stop: StopServer = async () => {
      child.kill('SIGKILL');
      await closed;
    };
    try {
      await eventually(`${command.join(' ')} to be ready`, () => ended || written.includes(readyText), { everyMs: 10 });
      if (ended) throw new Error(`${command.join(' ')} ended: ${written}`);
    } catch (error) {
      await stop();
      throw error;
    }
    return stop;
  }

  #inside(command: readonly string[]): readonly string[] {
    if (this.#containerPid === undefined) return command;
    return ['nsenter', '-t', String(this.#containerPid), '-n', '--', ...command];
  }
}

/** Two places on different hosts. */
export interface PlacePair {
  client: Place;
  server: Place;
}
