import { filtersOf } from '../../filters.ts';
import { collect, type Verb } from '../../command.ts';
import { naturalOrder } from '../../format/natural-order.ts';
import { type Column, type ListingOptions, printListing } from '../../format/listing.ts';
import type { ApiNode } from './api-node.ts';

interface Flags extends ListingOptions {
  filter?: string[];
}

export const addLs: Verb = (noun, act) => {
  noun
    .command('ls')
    .alias('list')
    .description('List nodes in the swarm')
    .option('-f, --filter <filter>', 'Filter output based on conditions provided', collect)
    .option('--format <template>', 'Format output using a custom template')
    .option('-q, --quiet', 'Only display IDs')
    .action(
      act<Flags>(async (context, flags) => {
        const [nodes, { Swarm }] = await Promise.all([
          context.client.get<ApiNode[]>('/nodes', { filters: filtersOf(flags.filter ?? []) }),
          context.client.get<SwarmInfo>('/info'),
        ]);
        const rows = nodes.toSorted((a, b) => naturalOrder(hostname(a), hostname(b)));
        const star = flags.format === undefined || flags.format === 'table';
        await printListing(context, columns(Swarm, star), rows, flags, (node) => node.ID);
      }),
    );
};

interface SwarmInfo {
  Swarm: { NodeID: string; Cluster?: { TLSInfo?: { TrustRoot?: string } } };
}

function columns({ NodeID: self, Cluster }: SwarmInfo['Swarm'], star: boolean): Column<ApiNode>[] {
  return [
    { key: 'ID', header: 'ID', value: (node) => (star ? `${node.ID} ${node.ID === self ? '*' : ' '}` : node.ID) },
    { key: 'Self', header: 'SELF', value: (node) => node.ID === self, hidden: true },
    { key: 'Hostname', header: 'HOSTNAME', value: hostname },
    { key: 'Status', header: 'STATUS', value: (node) => capital(node.Status.State) },
    { key: 'Availability', header: 'AVAILABILITY', value: (node) => capital(node.Spec.Availability) },
    { key: 'ManagerStatus', header: 'MANAGER STATUS', value: managerStatus },
    { key: 'EngineVersion', header: 'ENGINE VERSION', value: (node) => node.Description?.Engine.EngineVersion ?? '' },
    {
      key: 'TLSStatus',
      header: 'TLS STATUS',
      value: (node) => tlsStatus(node, Cluster?.TLSInfo?.TrustRoot),
      hidden: true,
    },
  ];
}

/** Whether the node's certificate was signed by the root that the swarm has now. */
function tlsStatus({ Description }: ApiNode, root: string | undefined): string {
  const own = Description?.TLSInfo?.TrustRoot;
  if (own === undefined || root === undefined) return 'Unknown';
  return own === root ? 'Ready' : 'Needs Rotation';
}

function hostname(node: ApiNode): string {
  return node.Description?.Hostname ?? '';
}

function managerStatus(node: ApiNode): string {
  if (node.ManagerStatus === undefined) return '';
  return node.ManagerStatus.Leader === true ? 'Leader' : capital(node.ManagerStatus.Reachability);
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
