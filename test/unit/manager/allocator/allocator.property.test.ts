import { fc, test } from '@fast-check/vitest';
import { describe, expect } from 'vitest';
import { isTerminal } from '../../../../proto/objects/task-state.ts';
import type { WriteTx } from '../../../../manager/store/transaction.ts';
import { messageOf } from '../../../../proto/runtime/errors.ts';
import { AllocatorBench, newNetwork, newService, newTask } from './fixture.ts';

const SUBNET = { Networks: [{ Target: 'net1' }] };

type Change = 'end' | 'remove' | 'unserve' | 'detach' | 'dnsrr';

type Step =
  | { kind: 'task' | 'service' | 'attach' | 'restart' | 'flush' | 'burst' }
  | { kind: 'retry'; pick: number }
  | { kind: Change; pick: number }
  | { kind: 'log'; mode: 'ok' | 'refused' | 'late' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ kind: fc.constantFrom('task' as const, 'service' as const, 'attach' as const) }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('restart' as const, 'flush' as const, 'burst' as const) }),
  },
  {
    weight: 7,
    arbitrary: fc.record({
      kind: fc.constantFrom(
        'retry' as const,
        'end' as const,
        'remove' as const,
        'unserve' as const,
        'detach' as const,
        'dnsrr' as const,
      ),
      pick: fc.nat(30),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('log' as const),
      mode: fc.constantFrom('ok' as const, 'refused' as const, 'late' as const),
    }),
  },
);

/** Addresses that committed state says are in use. */
function inUse(bench: AllocatorBench): string[] {
  return bench.store.view((tx) => [
    ...[...tx.all('tasks')]
      .filter((task) => !isTerminal(task.Status.State))
      .flatMap((task) => (task.NetworksAttachments ?? []).flatMap(({ Addresses }) => Addresses)),
    ...[...tx.all('services')].flatMap((service) => (service.Endpoint?.VirtualIPs ?? []).map(({ Addr }) => Addr)),
    ...[...tx.all('attachments')].map(({ Address }) => Address),
  ]);
}

function ids(bench: AllocatorBench, table: 'tasks' | 'services' | 'attachments'): string[] {
  return bench.store.view((tx) => [...tx.all(table)].map(({ ID }) => ID)).sort();
}

class Run {
  readonly bench = new AllocatorBench({ watchLimit: 0 });
  readonly #references: string[] = [];
  #serial = 0;

  async apply(one: Step): Promise<void> {
    await this.#apply(one);
    await this.bench.settle(600);
    const used = inUse(this.bench);
    expect(new Set(used).size).toBe(used.length);
    const ended = this.bench.store.view((tx) =>
      [...tx.all('tasks')].filter((task) => isTerminal(task.Status.State)).map(({ ID }) => `task/${ID}`),
    );
    const kept = this.bench.allocator.addresses.holdings().filter(({ holder }) => ended.includes(holder));
    expect(kept).toEqual([]);
  }

  /** Everything is removed, on a log that works, and a minute goes by. */
  async clear(): Promise<void> {
    const { bench } = this;
    bench.proposer.mode = 'ok';
    bench.proposer.flush();
    await bench.settle(61_000);
    await bench.store.update((tx) => {
      for (const table of ['tasks', 'services', 'attachments'] as const) {
        for (const id of ids(bench, table)) tx.remove(table, id);
      }
    });
    await bench.settle(61_000);
    await bench.attachments.report({ nodeId: 'n1', held: [], givenUp: [] });
    await bench.settle();
  }

  async #apply(one: Step): Promise<void> {
    const { bench } = this;
    const id = `${one.kind}${this.#serial++}`;
    if ('mode' in one) bench.proposer.mode = one.mode;
    else if ('pick' in one) {
      if (one.kind !== 'retry') await this.#change(one.kind, one.pick);
      else await this.#attach(this.#references.at(one.pick % Math.max(1, this.#references.length)) ?? id);
    } else if (one.kind === 'flush') bench.proposer.flush();
    else if (one.kind === 'restart') await bench.restart();
    else if (one.kind === 'task') await this.#user((tx) => tx.create('tasks', newTask(id, { Spec: SUBNET })));
    else if (one.kind === 'burst') {
      // Faster than they are taken from the watch: the allocator has to look at everything again.
      const parts = ['a', 'b', 'c', 'd', 'e', 'f'];
      await bench.burst(parts.map((part) => (tx) => tx.create('tasks', newTask(id + part, { Spec: SUBNET }))));
    } else if (one.kind === 'service') {
      await this.#user((tx) => tx.create('services', newService(id, { TaskTemplate: SUBNET })));
    } else if (one.kind === 'attach') {
      this.#references.push(id);
      await this.#attach(id);
    }
  }

  async #attach(reference: string): Promise<void> {
    const request = { nodeId: 'n1', networkId: 'net1', reference, ipv6: /[02468]$/.test(reference) };
    await this.bench.attachments.allocate(request).catch((error: unknown) => {
      expect(messageOf(error)).toMatch(/^(no leader|could not find an available IP)$/);
    });
  }

  /** A change by somebody else, whose log works. */
  async #user(write: (tx: WriteTx) => void): Promise<void> {
    const { proposer, store } = this.bench;
    const { mode } = proposer;
    proposer.mode = 'ok';
    const written = store.update(write);
    proposer.mode = mode;
    // Having lost a race it is tried again, on the log as it is.
    await written.catch((error: unknown) => expect(messageOf(error)).toMatch(/^no |not found$/));
  }

  async #change(kind: Change, pick: number): Promise<void> {
    const { bench } = this;
    const table = kind === 'detach' ? 'attachments' : kind === 'end' || kind === 'remove' ? 'tasks' : 'services';
    const id = ids(bench, table).at(pick % Math.max(1, ids(bench, table).length));
    if (id === undefined) return;
    await this.#user((tx) => {
      if (kind === 'end') tx.update('tasks', { ...bench.task(id), Status: { Timestamp: '', State: 'failed' } });
      else if (kind === 'dnsrr') {
        const service = bench.service(id);
        tx.update('services', { ...service, Spec: { ...service.Spec, EndpointSpec: { Mode: 'dnsrr' } } });
      } else tx.remove(table, id);
    });
  }
}

describe('Allocator', () => {
  test.prop([fc.array(step, { minLength: 10, maxLength: 60, size: 'max' })], { numRuns: 80 })(
    'no address is ever held twice, and all are free in the end',
    async (steps) => {
      const run = new Run();
      await run.bench.store.update((tx) =>
        tx.create(
          'networks',
          newNetwork('net1', {
            IPv6Enabled: true,
            IPAMOptions: {
              Configs: [{ Subnet: '10.50.0.0/30' }, { Subnet: 'fd00:50::/125' }, { Subnet: '10.51.0.0/29' }],
            },
          }),
        ),
      );
      await run.bench.start();
      for (const one of steps) await run.apply(one);
      await run.clear();
      expect(run.bench.allocator.addresses.freeCount('net1')).toBe(6);
      expect(run.bench.allocator.addresses.freeCount('net1', 6)).toBe(6);
      expect(run.bench.allocator.addresses.holdings()).toEqual([]);
      await run.bench.allocator.stop();
    },
  );
});
