import type { Clock } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import { BRIDGE, VXLAN } from '../overlay/link-names.ts';
import type { HostLink, OperationFailure, OverlayKernel } from '../overlay/overlay-kernel.ts';
import { emptyOverlay, type ObservedOverlay, type Operation } from '../overlay/overlay-state.ts';
import { Batch } from './batch.ts';
import { command } from './command.ts';
import { createNamespace, deleteNamespace, listNamespaces, namespaceExists } from './netns.ts';
import { readHostLinks, readOverlay } from './observe.ts';
import { type LineOperation, render } from './render.ts';

/** Bridged frames are not the firewall's business here, and an overlay has neither redirects nor IPv6 of its own. */
const SYSCTLS = [
  'net.bridge.bridge-nf-call-iptables=0',
  'net.bridge.bridge-nf-call-ip6tables=0',
  'net.bridge.bridge-nf-call-arptables=0',
  'net.ipv4.conf.all.send_redirects=0',
  'net.ipv4.conf.default.send_redirects=0',
  'net.ipv6.conf.all.disable_ipv6=1',
  'net.ipv6.conf.default.disable_ipv6=1',
];

const EXISTS = /File exists/;
const ABSENT = /Cannot find device|does not exist/;

/** The Linux kernel through iproute2: one batch process per tool and namespace. Needs CAP_NET_ADMIN and CAP_SYS_ADMIN. */
export class LinuxKernel implements OverlayKernel {
  readonly #modules: { clock: Clock; log: Log };
  readonly #batches = new Map<string, Batch>();

  constructor(modules: { clock: Clock; log: Log }) {
    this.#modules = modules;
  }

  async observe(namespace: string): Promise<ObservedOverlay> {
    if (!(await namespaceExists(namespace))) return emptyOverlay();
    const addresses = await command('ip', ['-n', namespace, '-j', '-d', 'addr']);
    const links = readOverlay({ addresses, forwarding: '', neighbours: '' });
    if (links.vxlan === undefined) return links;
    const [forwarding, neighbours] = await Promise.all([
      command('bridge', ['-n', namespace, '-j', 'fdb', 'show', 'dev', VXLAN]),
      command('ip', ['-n', namespace, '-4', '-j', 'neigh', 'show', 'dev', VXLAN]),
    ]);
    return readOverlay({ addresses, forwarding, neighbours });
  }

  async apply(namespace: string, operations: readonly Operation[]): Promise<OperationFailure[]> {
    const failures: OperationFailure[] = [];
    let lines: LineOperation[] = [];
    for (const operation of operations) {
      if (operation.kind !== 'create-namespace' && operation.kind !== 'delete-namespace') lines.push(operation);
      else {
        failures.push(...(await this.#applyLines(namespace, lines)));
        lines = [];
        failures.push(...(await this.#applyToNamespace(namespace, operation)));
      }
    }
    failures.push(...(await this.#applyLines(namespace, lines)));
    return failures;
  }

  async createVeth(namespace: string, port: string, waiting: string, mtu: number): Promise<void> {
    // Made, enslaved and up in one operation: each takes the lock that all links of the machine share, and while containers start
    // that lock is what they wait for.
    const inside = this.#batch('ip', namespace);
    const peer = `peer name ${waiting} mtu ${mtu} netns ${process.pid}`;
    const line = `link add ${port} mtu ${mtu} master ${BRIDGE} up type veth ${peer}`;
    const failure = (await inside.run([line]))[0];
    if (failure === undefined) return;
    if (!EXISTS.test(failure.message)) throw new WaggleError('internal', failure.message);
    if ((await this.hostLinks()).some((link) => link.name === waiting)) {
      if ((await this.observe(namespace)).ports.has(port)) return;
      await this.deleteHostLink(waiting);
    } else await inside.run([`link del dev ${port}`]);
    const again = (await inside.run([line]))[0];
    if (again !== undefined) throw new WaggleError('internal', again.message);
  }

  async hostLinks(): Promise<HostLink[]> {
    return readHostLinks(await command('ip', ['-j', '-d', 'addr']));
  }

  async deleteHostLink(name: string): Promise<void> {
    const failure = (await this.#batch('ip', undefined).run([`link del dev ${name}`]))[0];
    if (failure !== undefined && !ABSENT.test(failure.message)) throw new WaggleError('internal', failure.message);
  }

  namespaces(): Promise<string[]> {
    return listNamespaces();
  }

  async release(namespace: string): Promise<void> {
    for (const tool of ['ip', 'bridge'] as const) {
      const key = keyOf(tool, namespace);
      await this.#batches.get(key)?.close();
      this.#batches.delete(key);
    }
  }

  async close(): Promise<void> {
    const batches = [...this.#batches.values()];
    this.#batches.clear();
    await Promise.all(batches.map((batch) => batch.close()));
  }

  /** Neighbouring lines of one tool go together. */
  async #applyLines(namespace: string, operations: readonly LineOperation[]): Promise<OperationFailure[]> {
    const failures: OperationFailure[] = [];
    const rendered = operations.map((operation) => ({
      operation,
      makesLink: operation.kind === 'create-vxlan' || operation.kind === 'create-bridge',
      ...render(namespace, operation),
    }));
    for (let start = 0; start < rendered.length; ) {
      const first = rendered[start];
      if (first === undefined) break;
      let end = start + 1;
      while (rendered[end]?.tool === first.tool && rendered[end]?.inHost === first.inHost) {
        if (rendered[end - 1]?.makesLink === true) break;
        end++;
      }
      const group = rendered.slice(start, end);
      const batch = this.#batch(first.tool, first.inHost ? undefined : namespace);
      for (const { index, message } of await batch.run(group.map(({ line }) => line))) {
        const operation = group[index]?.operation;
        // Its other end may have been deleted first, and the pair with it.
        if (operation?.kind === 'delete-link' && ABSENT.test(message)) continue;
        if (operation !== undefined) failures.push({ operation, message });
      }
      // The batch processes may remember a former link of that name by its index.
      if (group.some(({ makesLink }) => makesLink)) await this.release(namespace);
      start = end;
    }
    return failures;
  }

  async #applyToNamespace(
    namespace: string,
    operation: Extract<Operation, { kind: 'create-namespace' | 'delete-namespace' }>,
  ): Promise<OperationFailure[]> {
    try {
      await this.release(namespace);
      if (operation.kind === 'create-namespace') {
        await createNamespace(namespace, SYSCTLS);
        await command('ip', ['-n', namespace, 'link', 'set', 'dev', 'lo', 'up']);
      } else {
        // The kernel cleans a namespace up later; its VNI must be free now, for whoever joins next.
        await command('ip', ['-n', namespace, 'link', 'del', 'dev', VXLAN]).catch((error: unknown) => {
          this.#modules.log.debug({ namespace, error: messageOf(error) }, 'no VXLAN device to remove');
        });
        await deleteNamespace(namespace);
      }
      return [];
    } catch (error) {
      return [{ operation, message: messageOf(error) }];
    }
  }

  #batch(tool: 'ip' | 'bridge', namespace: string | undefined): Batch {
    const key = keyOf(tool, namespace);
    const known = this.#batches.get(key);
    if (known !== undefined) return known;
    const batch = new Batch(namespace === undefined ? { tool } : { tool, namespace }, this.#modules);
    this.#batches.set(key, batch);
    return batch;
  }
}

function keyOf(tool: 'ip' | 'bridge', namespace: string | undefined): string {
  return `${tool}@${namespace ?? ''}`;
}
