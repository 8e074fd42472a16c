import { run } from '../lab/run.ts';
import type { SeededRandom } from '../sim/raft/seeded-random.ts';
import type { EngineContainer } from './engine-containers.ts';

/**
 * One container that asks for names, and what it may be told of each: addresses, sorted and joined by commas; nothing for names of
 * nobody. A name that is known on several networks of the container has the addresses of one of them, as with Docker.
 */
export interface NameQuestions {
  from: EngineContainer;
  expected: ReadonlyMap<string, readonly string[]>;
}

/** Every pair of running containers of a network, by each family that both have. @returns who cannot reach whom. */
export async function unreachable(containers: readonly EngineContainer[]): Promise<string[]> {
  const running = containers.filter((each) => each.running);
  const found = await Promise.all(
    running.map(async (from) => {
      const targets = new Map<string, string>();
      for (const [network, own] of from.networks) {
        for (const to of running) {
          const there = to.networks.get(network);
          if (to === from || there === undefined) continue;
          targets.set(there.address, `${to.name} on ${to.host.name} (${network}, ${there.address})`);
          if (own.address6 === '' || there.address6 === '') continue;
          targets.set(there.address6, `${to.name} on ${to.host.name} (${network}, ${there.address6})`);
        }
      }
      const lost = targets.size === 0 ? [] : await pingAll(from, [...targets.keys()]);
      return lost.map((address) => `${from.name} on ${from.host.name} cannot reach ${targets.get(address)}`);
    }),
  );
  return found.flat();
}

/** @returns the addresses that have not answered. */
async function pingAll({ pid }: EngineContainer, addresses: readonly string[]): Promise<string[]> {
  const script = 'for a in "$@"; do (busybox ping -c 1 -W 2 "$a" >/dev/null 2>&1 || echo "$a") & done; wait';
  return (await inSandbox(pid, script, addresses)).split('\n').filter((line) => line !== '');
}

/** What the containers are told otherwise. */
export async function wronglyNamed(questions: readonly NameQuestions[]): Promise<string[]> {
  const found = await Promise.all(
    questions.map(async ({ from, expected }) => {
      const answers = await lookUpAll(from, [...expected.keys()]);
      return [...expected].flatMap(([name, wanted]) => {
        const seen = (answers.get(name) ?? []).join();
        if (wanted.includes(seen)) return [];
        return [`${from.name} on ${from.host.name} is told [${seen}] for ${name}, not [${wanted.join('] or [')}]`];
      });
    }),
  );
  return found.flat();
}

async function lookUpAll({ pid }: EngineContainer, names: readonly string[]): Promise<Map<string, string[]>> {
  const script =
    'for n in "$@"; do (echo $n $(busybox nslookup -type=a -timeout=1 -retry=1 "$n" 127.0.0.11 2>/dev/null | sed -n "s/^Address: *//p" | grep -v :53)) & done; wait';
  const answers = new Map<string, string[]>();
  for (const line of (await inSandbox(pid, script, names)).split('\n')) {
    const [name = '', ...addresses] = line.split(' ');
    answers.set(name, addresses.toSorted());
  }
  return answers;
}

async function inSandbox(pid: number, script: string, args: readonly string[]): Promise<string> {
  const command = ['-t', String(pid), '-n', 'sh', '-c', script, 'sh', ...args];
  return (await run('nsenter', command, { check: false, timeoutMs: 30_000 })).stdout;
}

export interface Names {
  /** Services by the task that is of them. */
  serviceOfTask: ReadonlyMap<string, string>;
  /** Every service's name: one without tasks has no address. */
  services: readonly string[];
  /** Names that were once somebody's. */
  gone: readonly string[];
}

/** For one container of each host and network: every name that can be known there, and some of those that nobody has any more. */
export function nameQuestions(
  containers: readonly EngineContainer[],
  { serviceOfTask, services, gone }: Names,
  random: SeededRandom,
): NameQuestions[] {
  const running = containers.filter((each) => each.running && each.networks.size > 0);
  const places = Map.groupBy(running, (each) => `${each.host.name} ${[...each.networks.keys()].toSorted().join()}`);
  return [...places.values()].flatMap((candidates) => {
    const from = random.pick(candidates);
    if (from === undefined) return [];
    return [{ from, expected: expectedNames(from, running, serviceOfTask, [...services, ...gone]) }];
  });
}

/** By name alone, and by name and network. */
function expectedNames(
  from: EngineContainer,
  running: readonly EngineContainer[],
  serviceOfTask: Names['serviceOfTask'],
  others: readonly string[],
): Map<string, string[]> {
  const byNetwork = [...from.networks.keys()].map((network) => {
    const addresses = new Map<string, string[]>();
    for (const to of running) {
      const address = to.networks.get(network)?.address;
      const service = serviceOfTask.get(to.taskId);
      if (address === undefined) continue;
      for (const name of service === undefined ? [to.name] : [to.name, service]) {
        addresses.set(name, [...(addresses.get(name) ?? []), address].toSorted());
      }
    }
    return { network, addresses };
  });
  const expected = new Map<string, string[]>();
  for (const { network, addresses } of byNetwork) {
    for (const [name, each] of addresses) {
      expected.set(`${name}.${network}`, [each.join()]);
      expected.set(name, [...(expected.get(name) ?? []), each.join()]);
    }
  }
  for (const name of others) if (!expected.has(name)) expected.set(name, ['']);
  return expected;
}
