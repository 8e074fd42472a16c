import { fileURLToPath } from 'node:url';
import { run } from '../lab/run.ts';
import type { Bench } from './bench.ts';
import type { Metric } from './ledger.ts';
import type { ProgramReport } from './probe/program-report.ts';

const PROGRAM = fileURLToPath(new URL('./probe/program-endpoints.ts', import.meta.url));
const ENDPOINTS = 10_000;
/** A host of its own for each run: no links or rules of others. */
const OWN_HOST = [
  '-m',
  '-n',
  '--propagation',
  'private',
  'sh',
  '-c',
  'mkdir -p /run/netns; ip link set lo up; exec "$@"',
  'sh',
];

const METRICS: readonly (Metric & { of: (report: ProgramReport) => number })[] = [
  { name: 'endpoints programmed, processor time', unit: 's', better: 'less', of: (report) => report.cpuSeconds },
  { name: 'endpoints programmed, time', unit: 's', better: 'less', of: (report) => report.seconds },
  { name: 'endpoints memory', unit: 'MiB', better: 'less', of: (report) => report.memoryMib },
  {
    name: 'endpoints audit after changes, processor time',
    unit: 's',
    better: 'less',
    of: (each) => each.auditCpuSeconds,
  },
  { name: 'endpoints idle audit, processor time', unit: 's', better: 'less', of: (each) => each.idleAuditCpuSeconds },
];

/** Ours alone: Docker's programs entries one by one as its gossip tells them, and cannot be given ten thousand at once. */
export const endpoints: Bench = {
  name: 'endpoints',
  summary: `${ENDPOINTS} endpoints of one network into the kernel of one host, from their records to the last entry`,
  weight: 1,
  async run({ interleave, ledger, say }) {
    const measure = async (): Promise<void> => {
      const program = [process.execPath, '--expose-gc', PROGRAM, String(ENDPOINTS)];
      const { stdout } = await run('unshare', [...OWN_HOST, ...program]);
      const report = JSON.parse(stdout) as ProgramReport;
      if (report.endpoints !== ENDPOINTS) throw new Error(`only ${report.endpoints} of ${ENDPOINTS} are in the kernel`);
      for (const { of, ...metric } of METRICS) ledger.add(metric, 'waggle', of(report));
      say(`${report.cpuSeconds.toFixed(2)} s of processor time, ${report.memoryMib.toFixed(1)} MiB`);
    };
    await interleave([{ id: 'endpoints waggle', measure }]);
  },
};
