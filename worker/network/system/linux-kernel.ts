import { createHash } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Clock } from '../../../proto/runtime/clock.ts';
import { messageOf, WaggleError } from '../../../proto/runtime/errors.ts';
import type { Log } from '../../../proto/runtime/log.ts';
import { BRIDGE, ROUTED, routeEndName, VXLAN } from '../overlay/link-names.ts';
import type {
  AdjacentHosts,
  HostLink,
  LowerLink,
  Observation,
  OperationFailure,
  OverlayKernel,
  SandboxLink,
} from '../overlay/overlay-kernel.ts';
import type { Announcement } from '../overlay/moved-addresses.ts';
import { emptyOverlay, type ObservedOverlay, type Operation } from '../overlay/overlay-state.ts';
import { adjacentHosts } from './adjacent-hosts.ts';
import { Batch, type LineFailure } from './batch.ts';
import { command, dump } from './command.ts';
import { type LineGroup, lineGroups } from './line-groups.ts';
import { createNamespace, deleteNamespace, listNamespaces, namespaceExists, namespacePath } from './netns.ts';
import { type OverlayDumps, readHostEnds, readHostLinks, readOverlay } from './observe.ts';
import { layingLines, muteLower, peerWords } from './lower-link.ts';
import type { LineOperation } from './render.ts';
import { makeSandboxLink } from './sandbox-link.ts';
import { canShorten } from './shortcut-probe.ts';
import { fingerprint, listRouteTable, readRouteTable, runNft } from './route-table.ts';

/** Bridged frames are not the firewall's business here, and an overlay has no redirects of its own. */
const SYSCTLS = [
  'net.bridge.bridge-nf-call-iptables=0',
  'net.bridge.bridge-nf-call-ip6tables=0',
  'net.bridge.bridge-nf-call-arptables=0',
  'net.ipv4.conf.all.send_redirects=0',
  'net.ipv4.conf.default.send_redirects=0',
];
const WITHOUT_IPV6 = ['net.ipv6.conf.all.disable_ipv6=1', 'net.ipv6.conf.default.disable_ipv6=1'];
/** Links have the addresses they are given, and none that they make up (RFC 4862 is the containers' business, if anybody's). */
const WITH_IPV6 = [
  'net.ipv6.conf.default.disable_ipv6=0',
  'net.ipv6.conf.default.addr_gen_mode=1',
  'net.ipv6.conf.default.accept_ra=0',
  'net.ipv6.conf.default.autoconf=0',
];

const VETHS = ['-j', 'link', 'show', 'type', 'veth'];

const ANNOUNCE_CHILD = fileURLToPath(new URL('./announce-child.ts', import.meta.url));

const EXISTS = /File exists/;
const ABSENT = /Cannot find device|does not exist/;

/** The Linux kernel through iproute2: one batch process per tool and namespace. Needs CAP_NET_ADMIN and CAP_SYS_ADMIN. */
export class LinuxKernel implements OverlayKernel {
  readonly #modules: { clock: Clock; log: Log };
  readonly #batches = new Map<string, Batch>();
  /** Namespace to the table of its network as nft printed it after it was installed. */
  readonly #tables = new Map<string, unknown[]>();

  constructor(modules: { clock: Clock; log: Log }) {
    this.#modules = modules;
  }

  async observe(namespace: string, routed: boolean): Promise<ObservedOverlay> {
    return (await this.#look(namespace, routed)).read();
  }

  async look(namespace: string, routed: boolean, known: string | undefined): Promise<Observation | undefined> {
    const { stamp, read } = await this.#look(namespace, routed);
    return stamp === known ? undefined : { observed: read(), stamp };
  }

  async #look(namespace: string, routed: boolean): Promise<{ stamp: string; read: () => ObservedOverlay }> {
    const dumps = (await namespaceExists(namespace)) ? await dumpNamespace(namespace) : undefined;
    const links = dumps === undefined ? emptyOverlay() : readOverlay({ addresses: dumps.addresses });
    const isRouted = routed || links.route.link !== undefined;
    const [listing, veths] = isRouted ? await Promise.all([listRouteTable(namespace), command('ip', VETHS)]) : [];
    const ends = veths === undefined ? {} : readHostEnds(veths, routeEndName(namespace), links.ports);
    const learnt = this.#tables.get(namespace);
    const small = [links, ends, learnt].map((each) => JSON.stringify(each, spread));
    const stamp = stampOf([...small, listing, dumps?.forwarding, dumps?.neighbours, dumps?.routed]);
    const read = (): ObservedOverlay => {
      const observed = dumps === undefined ? links : readOverlay(dumps);
      if (isRouted) Object.assign(observed.route, readRouteTable(listing, namespace, learnt));
      Object.assign(observed.route, ends);
      return observed;
    };
    return { stamp, read };
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

  async createVeth(namespace: string, port: string, waiting: string, mtu: number, lower?: LowerLink): Promise<void> {
    // Made, enslaved and up in one operation: each takes the lock that all links of the machine share, and while containers start
    // that lock is what they wait for.
    const inside = this.#batch('ip', namespace);
    const line = `link add ${port} mtu ${mtu} master ${BRIDGE} up type veth ${peerWords(lower?.name ?? waiting, mtu, lower)}`;
    const failure = (await inside.run([line]))[0];
    if (failure !== undefined) {
      if (!EXISTS.test(failure.message)) throw new WaggleError('internal', failure.message);
      const waits = (await this.hostLinks()).some((link) => link.name === waiting);
      if (waits && readOverlay(await dumpNamespace(namespace)).ports.has(port)) return;
      // Of a namespace that is gone the other end may be left for a while.
      for (const name of lower === undefined ? [waiting] : [waiting, lower.name]) await this.deleteHostLink(name);
      await inside.run([`link del dev ${port}`]);
      const again = (await inside.run([line]))[0];
      if (again !== undefined) throw new WaggleError('internal', again.message);
    }
    if (lower === undefined) return;
    const words = await this.#layLink(waiting, mtu, lower).catch(messageOf);
    if (words === undefined) return;
    await inside.run([`link del dev ${port}`]);
    throw new WaggleError('internal', words);
  }

  restoreVeth(
    namespace: string,
    port: string,
    link: SandboxLink,
    mtu: number,
    lower?: LowerLink,
  ): Promise<string | undefined> {
    return makeSandboxLink(namespace, port, link, mtu, lower?.name);
  }

  hasShortcuts(): Promise<boolean> {
    return canShorten();
  }

  async announce(namespace: string, announcements: readonly Announcement[]): Promise<void> {
    const pairs = announcements.map(({ address, mac }) => `${address}=${mac}`);
    const program = [process.execPath, ANNOUNCE_CHILD, BRIDGE];
    await command('nsenter', [`--net=${namespacePath(namespace)}`, ...program, ...pairs]);
  }

  async hostLinks(): Promise<HostLink[]> {
    return readHostLinks(await command('ip', ['-j', '-d', 'addr']));
  }

  adjacentHosts(link: string, addresses: readonly string[]): Promise<AdjacentHosts> {
    return adjacentHosts(link, addresses);
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

  async #applyLines(namespace: string, operations: readonly LineOperation[]): Promise<OperationFailure[]> {
    const failures: OperationFailure[] = [];
    for (const group of lineGroups(namespace, operations)) {
      for (const { index, message } of await this.#run(namespace, group)) {
        const operation = group.operations[index];
        // Its other end may have been deleted first, and the pair with it.
        if (operation?.kind === 'delete-link' && ABSENT.test(message)) continue;
        if (operation !== undefined) failures.push({ operation, message });
      }
      if (group.forgetsLinks) await this.release(namespace);
      if (group.forgetsHost) await this.#releaseHost();
      if (group.operations.some(({ kind }) => kind === 'install-table')) await this.#learnTable(namespace);
    }
    return failures;
  }

  /** Puts a container's link onto its lower link. @returns what is wrong, in the words of `ip`. */
  async #layLink(waiting: string, mtu: number, lower: LowerLink): Promise<string | undefined> {
    await muteLower(lower.name);
    const lines = layingLines(waiting, mtu, lower);
    const failure = (await this.#batch('ip', undefined).run(lines))[0];
    // The process may have known a former lower link of that name; after a failure there is another one.
    if (failure === undefined) return undefined;
    return (await this.#batch('ip', undefined).run(lines))[0]?.message;
  }

  async #run(namespace: string, { tool, inHost, lines }: LineGroup): Promise<LineFailure[]> {
    if (tool !== 'nft') return this.#batch(tool, inHost ? undefined : namespace).run(lines);
    const message = await runNft(`${lines.join('\n')}\n`);
    return message === undefined ? [] : lines.map((_, index) => ({ index, message }));
  }

  async #learnTable(namespace: string): Promise<void> {
    const listing = await listRouteTable(namespace).catch(() => undefined);
    if (listing === undefined) this.#tables.delete(namespace);
    else this.#tables.set(namespace, fingerprint(listing));
  }

  async #applyToNamespace(
    namespace: string,
    operation: Extract<Operation, { kind: 'create-namespace' | 'delete-namespace' }>,
  ): Promise<OperationFailure[]> {
    try {
      await this.release(namespace);
      this.#tables.delete(namespace);
      if (operation.kind === 'create-namespace') {
        await createNamespace(namespace, [...SYSCTLS, ...(operation.ipv6 ? WITH_IPV6 : WITHOUT_IPV6)]);
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

  async #releaseHost(): Promise<void> {
    await this.#batches.get(keyOf('ip', undefined))?.close();
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

async function dumpNamespace(namespace: string): Promise<OverlayDumps> {
  const addresses = await command('ip', ['-n', namespace, '-j', '-d', 'addr']);
  const links = readOverlay({ addresses });
  const fdb = ['-n', namespace, '-j', 'fdb', 'show', 'dev'];
  const [forwarding, neighbours, routed] = await Promise.all([
    links.vxlan === undefined ? undefined : dump('bridge', [...fdb, VXLAN]),
    links.vxlan === undefined ? undefined : dump('ip', ['-n', namespace, '-j', 'neigh', 'show', 'dev', VXLAN]),
    links.route.link === undefined ? undefined : dump('bridge', [...fdb, ROUTED]),
  ]);
  return { addresses, forwarding, neighbours, routed };
}

/** For JSON, which passes maps and sets over. */
function spread(_key: string, value: unknown): unknown {
  return value instanceof Map || value instanceof Set ? [...value] : value;
}

/** Of links it is what was read of them that counts: `ip` prints a bridge's timers too. */
function stampOf(texts: readonly (string | Buffer | undefined)[]): string {
  const hash = createHash('sha1');
  for (const text of texts) {
    const bytes = text === undefined ? undefined : Buffer.from(text);
    hash.update(`${bytes?.length ?? 'nothing'} `);
    if (bytes !== undefined) hash.update(bytes);
  }
  return hash.digest('base64');
}

function keyOf(tool: 'ip' | 'bridge', namespace: string | undefined): string {
  return `${tool}@${namespace ?? ''}`;
}
