import type { NetworkTrace, TraceEnd, TraceHop } from '../../../proto/objects/diagnosis/report.ts';
import { CommandError, requireArgs, type Verb } from '../../command.ts';
import { table } from '../../format/table.ts';
import { compileTemplate, goJson } from '../../format/template.ts';

interface Flags {
  format?: string;
  network?: string;
  ipv4?: boolean;
  ipv6?: boolean;
}

/** Exit status 0: every hop is in order; 1: one is broken, or the ends cannot be found. */
export const addTrace: Verb = (noun, act) => {
  noun
    .command('trace')
    .description('Follow a packet from a container to another one, hop by hop on all nodes, and back')
    .argument('[args...]', 'CONTAINER|TASK CONTAINER|TASK|ADDRESS')
    .option('--format <template>', "Format output using a custom template, 'json' for the whole trace")
    .option('-4, --ipv4', 'Only between the IPv4 addresses (default: every family that the two share)')
    .option('-6, --ipv6', 'Only between the IPv6 addresses')
    .option('--network <network>', 'The network to trace on, when the two share several')
    .action(
      act<Flags>(async (context, flags, args) => {
        requireArgs('network trace', args, 2, 2);
        const [from = '', to = ''] = args;
        const query = { from, to, network: flags.network, family: familyIn(flags) };
        const trace = await context.client.get<NetworkTrace>('/waggle/networks/trace', query);
        if (flags.format === 'json') context.print(goJson(trace));
        else if (flags.format !== undefined) context.print((await compileTemplate(flags.format))(trace));
        else for (const line of await traceLines(trace)) context.print(line);
        if (!trace.OK) throw new CommandError('');
      }),
    );
};

/** @throws CommandError when both are given. */
function familyIn({ ipv4 = false, ipv6 = false }: Flags): string | undefined {
  if (ipv4 && ipv6) throw new CommandError('-4 and -6 cannot be used together: without them both families are traced');
  if (!ipv4 && !ipv6) return undefined;
  return ipv4 ? '4' : '6';
}

/** The ends, a line per hop, what to do below each that is broken, and where the first one is. */
async function traceLines({ From, To, Network, Hops }: NetworkTrace): Promise<string[]> {
  const rows = await table(Hops.map((hop) => [hop.Node || '-', hop.Hop, seen(hop)]));
  const hops = Hops.flatMap((hop, index) => [
    `${mark(hop)} ${rows[index] ?? ''}`,
    ...(hop.OK === false && hop.Advice !== '' ? [`    ${hop.Advice}`] : []),
  ]);
  const broken = Hops.find(({ OK }) => OK === false);
  const verdict = broken === undefined ? 'The way is clear.' : `Broken at ${broken.Node || '-'}: ${broken.Hop}.`;
  const network = Network === '' ? '' : ` on network ${Network}`;
  return [`${endWords(From)} to ${endWords(To)}${network}`, ...hops, verdict];
}

function endWords({ Ref, Name, Address, Address6, Node }: TraceEnd): string {
  const name = Name === '' ? Ref : Name;
  return Node === '' ? name : `${name} (${[Address, Address6 ?? []].flat().join(', ')} on ${Node})`;
}

function mark({ OK }: TraceHop): string {
  if (OK === undefined) return '?';
  return OK ? '✓' : '✗';
}

function seen({ Seen, Expected }: TraceHop): string {
  return Expected === '' ? Seen : `${Seen}; expected: ${Expected}`;
}
