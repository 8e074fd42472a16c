/**
 * Programs the endpoints of one network into a namespace of this host, through the overlay itself, and prints what it took.
 * Argument: number of endpoints. Needs root.
 */
import koffi from 'koffi';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { sleep, systemClock } from '../../../proto/runtime/clock.ts';
import { silentLog } from '../../../proto/runtime/log.ts';
import type { EndpointRecord, EndpointTable, LocatedRecord } from '../../../worker/gossip/endpoint-table.ts';
import { macOf } from '../../../worker/network/overlay/address.ts';
import type { Observation, OperationFailure } from '../../../worker/network/overlay/overlay-kernel.ts';
import type { Operation } from '../../../worker/network/overlay/overlay-state.ts';
import { Overlays } from '../../../worker/network/overlay/overlays.ts';
import { LinuxKernel } from '../../../worker/network/system/linux-kernel.ts';
import { FileTable } from '../../../worker/storage/file-table.ts';
import { eventually } from '../../lab/eventually.ts';
import type { ProgramReport } from './program-report.ts';

const NETWORK = 'benchnet00000000000000000';
const VNI = 16_000_001;
const VTEP = '127.0.0.1';
const RUSAGE_CHILDREN = -1;
const RUSAGE_BYTES = 144;
const HOSTS = 50;
const COMPARED_MS = 200;
const PATIENCE = { timeoutMs: 60_000, everyMs: 5 };

const getrusage = koffi.load('libc.so.6').func('int getrusage(int who, void *usage)');

/** Processor time of this process and of its children that have ended. */
function cpuSeconds(): number {
  const { user, system } = process.cpuUsage();
  const usage = Buffer.alloc(RUSAGE_BYTES);
  getrusage(RUSAGE_CHILDREN, usage);
  const timeAt = (at: number): number => Number(usage.readBigInt64LE(at)) + Number(usage.readBigInt64LE(at + 8)) / 1e6;
  return (user + system) / 1e6 + timeAt(0) + timeAt(16);
}

/** Resident memory, after a collection when the process was started with --expose-gc. */
function memoryMib(): number {
  globalThis.gc?.();
  return process.memoryUsage().rss / 2 ** 20;
}

/** The real kernel, which counts what it was told. */
class CountingKernel extends LinuxKernel {
  neighbours = 0;
  looks = 0;

  override async apply(namespace: string, operations: readonly Operation[]): Promise<OperationFailure[]> {
    const failures = await super.apply(namespace, operations);
    if (failures[0] !== undefined) throw new Error(failures[0].message);
    this.neighbours += operations.filter(({ kind }) => kind === 'put-neighbour').length;
    return failures;
  }

  override async look(namespace: string, routed: boolean, known: string | undefined): Promise<Observation | undefined> {
    const observation = await super.look(namespace, routed, known);
    this.looks++;
    return observation;
  }
}

/** Records that arrive all at once. */
class BatchTable implements EndpointTable {
  records: readonly EndpointRecord[] = [];
  #listener: (networkIds: ReadonlySet<string>) => void = () => undefined;

  arrive(records: readonly EndpointRecord[]): void {
    this.records = records;
    this.#listener(new Set([NETWORK]));
  }

  publish(): void {}
  withdraw(): void {}
  network(): readonly EndpointRecord[] {
    return this.records;
  }
  located(): readonly LocatedRecord[] {
    return this.records.map((record) => ({ ...record, silent: false }));
  }
  onChange(listener: (networkIds: ReadonlySet<string>) => void): () => void {
    this.#listener = listener;
    return () => undefined;
  }
  synced(): boolean {
    return true;
  }
}

function recordOf(index: number): EndpointRecord {
  const address = `10.64.${1 + (index >> 8)}.${index & 255}`;
  return {
    networkId: NETWORK,
    endpointId: `endpoint${index}`,
    owner: `node${index % HOSTS}`,
    address,
    mac: macOf(address),
    vtep: `192.168.0.${2 + (index % HOSTS)}`,
    vni: VNI,
    names: [`task${index}`],
    services: [],
  };
}

async function measure(count: number, overlays: Overlays, parts: Parts): Promise<ProgramReport> {
  const { kernel, table } = parts;
  const records = Array.from({ length: count }, (_, index) => recordOf(index));
  await overlays.connect(NETWORK, 'local0000000');
  const memoryBefore = memoryMib();
  const before = cpuSeconds();
  const began = systemClock.monotonic();
  table.arrive(records);
  await eventually('all to be programmed', () => kernel.neighbours >= count, PATIENCE);
  const seconds = (systemClock.monotonic() - began) / 1000;
  await kernel.close();
  const programmed = cpuSeconds();
  const memoryAfter = memoryMib();
  const auditCpuSeconds = await auditCost(overlays, kernel);
  const idleAuditCpuSeconds = await auditCost(overlays, kernel);
  const { observed } = await overlays.examine(NETWORK);
  return {
    endpoints: Math.min(observed.neighbours.size, observed.forwarding.size, observed.bridged.size),
    seconds,
    cpuSeconds: programmed - before,
    auditCpuSeconds,
    idleAuditCpuSeconds,
    memoryMib: memoryAfter - memoryBefore,
  };
}

async function auditCost(overlays: Overlays, kernel: CountingKernel): Promise<number> {
  const before = cpuSeconds();
  const { looks } = kernel;
  await overlays.audit();
  await eventually('the audit', () => kernel.looks > looks, PATIENCE);
  // What it has seen is compared a moment later.
  await sleep(systemClock, COMPARED_MS);
  return cpuSeconds() - before;
}

interface Parts {
  kernel: CountingKernel;
  table: BatchTable;
}

async function main(count: number): Promise<ProgramReport> {
  const folder = mkdtempSync(path.join(tmpdir(), 'waggle-bench-'));
  const kernel = new CountingKernel({ clock: systemClock, log: silentLog });
  const table = new BatchTable();
  let connected = [{ endpointId: 'local0000000', address: '10.64.0.2/16', mac: macOf('10.64.0.2') }];
  const overlays = new Overlays(
    { vtep: VTEP, port: 47_890 },
    {
      kernel,
      markers: new FileTable(path.join(folder, 'markers'), { sync: false }),
      facts: () => ({
        networkId: NETWORK,
        vni: VNI,
        subnets: [{ subnet: '10.64.0.0/16', gateway: '10.64.0.1/16' }],
        dataPath: 'vxlan',
      }),
      connected: () => connected,
      endpointIds: () => connected.map(({ endpointId }) => endpointId),
      table,
      clock: systemClock,
      random: () => 0.5,
      log: silentLog,
    },
  );
  await overlays.start();
  overlays.trust(new Set());
  try {
    return await measure(count, overlays, { kernel, table });
  } finally {
    connected = [];
    await overlays.disconnect(NETWORK, 'local0000000');
    await overlays.stop();
    rmSync(folder, { recursive: true, force: true });
  }
}

process.stdout.write(JSON.stringify(await main(Number(process.argv[2]))));
process.exit(0);
