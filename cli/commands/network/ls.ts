import { filtersOf } from '../../filters.ts';
import { collect, type Verb } from '../../command.ts';
import { formatTime } from '../../format/units.ts';
import { naturalOrder } from '../../format/natural-order.ts';
import { type Column, type ListingOptions, printListing } from '../../format/listing.ts';

interface ApiNetwork {
  Id: string;
  Name: string;
  Driver: string;
  Scope: string;
  Created: string;
  EnableIPv6: boolean;
  Internal: boolean;
  Labels: Record<string, string> | null;
}

interface Flags extends ListingOptions {
  filter?: string[];
  trunc?: boolean;
}

export const addLs: Verb = (noun, act) => {
  noun
    .command('ls')
    .alias('list')
    .description('List networks')
    .option('-f, --filter <filter>', "Provide filter values (e.g. 'driver=bridge')", collect)
    .option('--format <template>', 'Format output using a custom template')
    .option('--no-trunc', 'Do not truncate the output')
    .option('-q, --quiet', 'Only display network IDs')
    .action(
      act<Flags>(async (context, flags) => {
        const networks = await context.client.get<ApiNetwork[]>('/networks', {
          filters: filtersOf(flags.filter ?? []),
        });
        const rows = networks.toSorted((a, b) => naturalOrder(a.Name, b.Name));
        const shortId = (network: ApiNetwork): string => (flags.trunc === false ? network.Id : network.Id.slice(0, 12));
        await printListing(context, columns(shortId), rows, flags, shortId);
      }),
    );
};

function columns(id: (network: ApiNetwork) => string): Column<ApiNetwork>[] {
  return [
    { key: 'ID', header: 'NETWORK ID', value: id },
    { key: 'Name', header: 'NAME', value: (network) => network.Name },
    { key: 'Driver', header: 'DRIVER', value: (network) => network.Driver },
    { key: 'Scope', header: 'SCOPE', value: (network) => network.Scope },
    { key: 'IPv6', header: 'IPV6', value: (network) => String(network.EnableIPv6), hidden: true },
    { key: 'Internal', header: 'INTERNAL', value: (network) => String(network.Internal), hidden: true },
    { key: 'CreatedAt', header: 'CREATED AT', value: (network) => formatTime(network.Created), hidden: true },
    { key: 'Labels', header: 'LABELS', value: (network) => labelsOf(network), hidden: true },
  ];
}

function labelsOf(network: ApiNetwork): string {
  return Object.entries(network.Labels ?? {})
    .map(([key, value]) => `${key}=${value}`)
    .join(',');
}
