import type { NetworkCheck, NetworkFinding } from '../../../proto/objects/diagnosis/report.ts';
import { CommandError, requireArgs, type Verb } from '../../command.ts';
import { type Column, printListing } from '../../format/listing.ts';
import { compileTemplate, goJson } from '../../format/template.ts';

interface Flags {
  format?: string;
  quiet?: boolean;
}

/** Exit status 0: everything agrees; 1: something differs, or could not be asked for. */
export const addCheck: Verb = (noun, act) => {
  noun
    .command('check')
    .description('Compare what is declared, gossiped and in the kernel of every node')
    .argument('[args...]', '[NETWORK]')
    .option('--format <template>', "Format output using a custom template, 'json' for the whole report")
    .option('-q, --quiet', 'Only set the exit status')
    .action(
      act<Flags>(async (context, flags, args) => {
        requireArgs('network check', args, 0, 1);
        const report = await context.client.get<NetworkCheck>('/waggle/networks/check', { network: args[0] });
        if (flags.quiet !== true) {
          if (flags.format === 'json') context.print(goJson(report));
          else if (flags.format !== undefined) context.print((await compileTemplate(flags.format))(report));
          else {
            if (report.Findings.length > 0) await printListing(context, COLUMNS, report.Findings, {}, objectOf);
            context.print(summary(report));
          }
        }
        if (report.Findings.length > 0) throw new CommandError('');
      }),
    );
};

const COLUMNS: readonly Column<NetworkFinding>[] = [
  { key: 'Network', header: 'NETWORK', value: ({ Network }) => Network || '-' },
  { key: 'Node', header: 'NODE', value: ({ Node }) => Node || '-' },
  { key: 'Kind', header: 'DIFFERENCE', value: ({ kind }) => kind },
  { key: 'Object', header: 'OBJECT', value: objectOf },
  { key: 'Expected', header: 'EXPECTED', value: ({ expected }) => expected },
  { key: 'Found', header: 'FOUND', value: ({ found }) => found },
];

function objectOf({ object }: NetworkFinding): string {
  return object;
}

function summary({ Findings, Networks, Nodes, Endpoints, Repairs }: NetworkCheck): string {
  const differences = Findings.length === 0 ? 'No differences' : counted(Findings.length, 'difference');
  const repairs = Object.values(Repairs)
    .flatMap((kinds) => Object.values(kinds))
    .reduce((sum, count) => sum + count, 0);
  const compared = [counted(Networks, 'network'), counted(Nodes, 'node'), counted(Endpoints, 'endpoint')].join(', ');
  const repaired = repairs === 0 ? '' : `; ${counted(repairs, 'repair')} since the daemons started`;
  return `${differences} (${compared} compared${repaired})`;
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}
