import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { eventually } from './eventually.ts';
import { buildImageTar, TEST_IMAGE } from './image.ts';
import { familyOf, isAlive, signal, untilGone } from './processes.ts';
import { type RunOptions, type RunResult, run } from './run.ts';

const REPOSITORY = path.resolve(import.meta.dirname, '../..');
const FOLDERS = ['run', 'lib-docker', 'lib-waggle', 'etc-docker'] as const;

/** An engine that was killed with containers running takes up to half a minute on a busy machine. */
const UP_MS = 90_000;
const ENGINE_STARTS = 3;

/** The host's links to the lab's switches stay, with their addresses. */
const WIPE = [
  "awk '{print $2}' /proc/self/mounts | grep -E '^/(run|var/lib/docker)/' | sort -ru | xargs -r -n1 umount -l 2>/dev/null",
  'rm -rf /run/* && mkdir -p /run/netns /run/lock',
  'nft flush ruleset',
  "ip -br link | awk '{print $1}' | cut -d@ -f1 | grep -vE '^(lo|eth[01])$' | xargs -r -n1 ip link del 2>/dev/null",
  'ip route show table all type blackhole | while read -r route; do ip route del $route; done',
  'ip neigh flush all nud permanent',
].join('\n');

/** Programs that a host can run in the background, one of each. */
type Service = 'engine' | 'daemon';

export interface HostOptions {
  name: string;
  /** Where everything of this host is kept. */
  folder: string;
  /** Shared by all hosts of the lab: built files. */
  labFolder: string;
  /** IPv4 address on the lab's switch, without prefix length. */
  address: string;
  /** Process that holds the namespaces. */
  holderPid: number;
  /** Namespace of the switch, and this host's port there. */
  switchNamespace: string;
  port: string;
}

/**
 * One host: a network, a mount and a UTS namespace with its own /run, /etc/docker, /var/lib/docker and /var/lib/waggle, so that
 * an engine and a daemon run in it with their default paths. Its files are reachable from outside under `folder`.
 */
export class Host {
  readonly name: string;
  readonly address: string;
  readonly options: HostOptions;
  readonly #pids = new Map<Service, number>();

  constructor(options: HostOptions) {
    this.options = options;
    this.name = options.name;
    this.address = options.address;
  }

  /** The engine's own socket, as a path outside. */
  get engineSocket(): string {
    return path.join(this.options.folder, 'run/docker.sock');
  }

  /** The daemon's socket, as a path outside. */
  get waggleSocket(): string {
    return path.join(this.options.folder, 'run/waggle/docker.sock');
  }

  /** Program and arguments that run `command` in this host. */
  inside(command: readonly string[]): [string, string[]] {
    return ['nsenter', ['-t', String(this.options.holderPid), '-m', '-u', '-n', '--', ...command]];
  }

  exec(command: readonly string[], options?: RunOptions): Promise<RunResult> {
    const [file, args] = this.inside(command);
    return run(file, args, options);
  }

  /** The docker CLI on the engine's own socket. */
  docker(args: readonly string[], options?: RunOptions): Promise<RunResult> {
    return this.exec(['docker', ...args], options);
  }

  /** The docker CLI on the daemon's socket; `program` picks another client version. */
  swarmDocker(args: readonly string[], options?: RunOptions & { program?: string }): Promise<RunResult> {
    return this.exec([options?.program ?? 'docker', '-H', 'unix:///run/waggle/docker.sock', ...args], options);
  }

  waggle(args: readonly string[], options?: RunOptions): Promise<RunResult> {
    return this.exec([path.join(REPOSITORY, 'cli/waggle'), ...args], options);
  }

  /** An engine that ends while it starts (it gives its containerd 15 s, and all hosts share the processors) is started again, as systemd does. */
  async startEngine(extra: readonly string[] = []): Promise<void> {
    for (let attempt = 1; ; attempt++) {
      this.#spawnEngine(extra);
      try {
        return await this.#untilUp('engine', () => this.docker(['version'], { timeoutMs: 5_000 }));
      } catch (error) {
        if (attempt === ENGINE_STARTS || this.isRunning('engine')) throw error;
      }
    }
  }

  #spawnEngine(extra: readonly string[]): void {
    rmSync(path.join(this.options.folder, 'run/docker.pid'), { force: true });
    this.#forgetContainerd();
    this.#spawn('engine', [
      'dockerd',
      '--storage-driver',
      'overlay2',
      '--cgroup-parent',
      `/waggle-lab-${this.name}`,
      ...extra,
    ]);
  }

  async startDaemon(extra: readonly string[] = []): Promise<void> {
    rmSync(this.waggleSocket, { force: true });
    this.#spawn('daemon', [path.join(REPOSITORY, 'cli/waggle'), 'daemon', '--log-level', 'debug', ...extra]);
    await this.#untilUp('daemon', () => existsSync(this.waggleSocket));
  }

  /** Ends a service in good order, or at once with SIGKILL, and waits until it is gone. */
  async stopService(service: Service, how: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    const pid = this.#pids.get(service);
    if (pid === undefined) return;
    this.#pids.delete(service);
    signal([pid], how);
    await untilGone([pid], 60_000);
  }

  isRunning(service: Service): boolean {
    const pid = this.#pids.get(service);
    return pid !== undefined && isAlive(pid);
  }

  servicePid(service: Service): number | undefined {
    return this.#pids.get(service);
  }

  /** What the service has written so far. */
  log(service: Service): string {
    return readFileSync(this.#logFile(service), 'utf8');
  }

  /** Stops every process of the host, containers included, as a machine that hangs. */
  freeze(): void {
    signal(familyOf(this.options.holderPid), 'SIGSTOP');
  }

  thaw(): void {
    signal(familyOf(this.options.holderPid), 'SIGCONT');
  }

  /** Loses its power: nobody hears of it any more, and everything in it is gone. After `mend` its services can be started anew. */
  async crash(): Promise<void> {
    await this.cut();
    const others = (): number[] =>
      familyOf(this.options.holderPid).filter((pid) => pid !== this.options.holderPid && isAlive(pid));
    for (let left = others(); left.length > 0; left = others()) {
      signal(left, 'SIGKILL');
      await untilGone(left);
    }
    this.#pids.clear();
  }

  /** After `crash`: what a machine that is started anew does not find either, in its kernel and under /run. */
  async wipe(): Promise<void> {
    await this.exec(['sh', '-c', WIPE]);
  }

  /** Unplugs the host from the switch. */
  async cut(): Promise<void> {
    await run('ip', ['-n', this.options.switchNamespace, 'link', 'set', this.options.port, 'down']);
  }

  async mend(): Promise<void> {
    await run('ip', ['-n', this.options.switchNamespace, 'link', 'set', this.options.port, 'up']);
  }

  /** Takes one of its addresses (of 24 bits) from the host and gives it another on the same link. */
  async renumber(from: string, to: string): Promise<void> {
    const { stdout } = await this.exec(['ip', '-o', '-4', 'addr', 'show', 'to', from]);
    const device = stdout.split(/\s+/)[1] ?? '';
    await this.exec(['ip', 'addr', 'add', `${to}/24`, 'dev', device]);
    await this.exec(['ip', 'addr', 'del', `${from}/24`, 'dev', device]);
    // Without its first address the kernel may have taken the other one away as its secondary.
    await this.exec(['ip', 'addr', 'replace', `${to}/24`, 'dev', device]);
  }

  /** Puts the test image into the engine. */
  async loadImage(): Promise<void> {
    const tar = await buildImageTar(this.options.labFolder);
    await this.docker(['import', '-c', 'ENV PATH=/bin:/usr/bin', tar, TEST_IMAGE]);
  }

  /** Kills everything that runs in the host; its namespaces end with it. */
  async destroy(): Promise<void> {
    this.thaw();
    for (let round = 0; round < 5; round++) {
      const family = familyOf(this.options.holderPid).filter(isAlive);
      if (family.length === 0) break;
      // The holder goes last: while it lives, whoever belongs to the host can be told by its mount namespace.
      const others = family.filter((pid) => pid !== this.options.holderPid);
      signal(others.length > 0 ? others : family, 'SIGKILL');
      await untilGone(others.length > 0 ? others : family);
    }
    this.#pids.clear();
  }

  /** Killed with its engine, and nobody's child, it may stay a zombie: an engine would take it for alive and wait for it. */
  #forgetContainerd(): void {
    const file = path.join(this.options.folder, 'run/docker/containerd/containerd.pid');
    if (existsSync(file) && !isAlive(Number(readFileSync(file, 'utf8')))) rmSync(file);
  }

  #spawn(service: Service, command: readonly string[]): void {
    const log = openSync(this.#logFile(service), 'a');
    const [file, args] = this.inside(command);
    const child = spawn(file, args, { detached: true, stdio: ['ignore', log, log] });
    closeSync(log);
    child.unref();
    if (child.pid === undefined) throw new Error(`${command.join(' ')} could not be started`);
    this.#pids.set(service, child.pid);
  }

  async #untilUp(service: Service, probe: () => Promise<unknown> | boolean): Promise<void> {
    const isUp = async (): Promise<boolean> => !this.isRunning(service) || (await probe()) !== false;
    await eventually(`${service} of ${this.name} to be up`, isUp, { timeoutMs: UP_MS });
    if (!this.isRunning(service))
      throw new Error(`${service} of ${this.name} ended: ${this.log(service).slice(-2000)}`);
  }

  #logFile(service: Service): string {
    return path.join(this.options.folder, `${service}.log`);
  }
}

/** Makes the folders of a host and starts the process that holds its namespaces. */
export async function openHost(options: Omit<HostOptions, 'holderPid'>): Promise<Host> {
  for (const each of FOLDERS) mkdirSync(path.join(options.folder, each), { recursive: true });
  const script = [
    `hostname ${options.name}`,
    `mount --bind ${options.folder}/run /run`,
    'mkdir -p /etc/docker /var/lib/docker /var/lib/waggle /run/netns /run/lock',
    `mount --bind ${options.folder}/lib-docker /var/lib/docker`,
    `mount --bind ${options.folder}/lib-waggle /var/lib/waggle`,
    // An engine keeps its key there, which is its ID, and would read the machine's own settings.
    `mount --bind ${options.folder}/etc-docker /etc/docker`,
    `touch /run/ready`,
    'exec sleep infinity',
  ].join(' && ');
  const holder = spawn('unshare', ['-m', '-u', '-n', '--propagation', 'private', 'sh', '-c', script], {
    detached: true,
    stdio: 'ignore',
  });
  holder.unref();
  if (holder.pid === undefined) throw new Error('unshare could not be started');
  await eventually(`namespaces of ${options.name}`, () => existsSync(path.join(options.folder, 'run/ready')), {
    everyMs: 10,
  });
  return new Host({ ...options, holderPid: holder.pid });
}
