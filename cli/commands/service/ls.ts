import type { PortConfig } from '../../../proto/objects/endpoint.ts';
import { filtersOf } from '../../filters.ts';
import { collect, type Verb } from '../../command.ts';
import { naturalOrder } from '../../format/natural-order.ts';
import { type Column, type ListingOptions, printListing } from '../../format/listing.ts';
import { type ApiService, modeOf } from './api-service.ts';

interface Flags extends ListingOptions {
  filter?: string[];
}

export const addLs: Verb = (noun, act) => {
  noun
    .command('ls')
    .alias('list')
    .description('List services')
    .option('-f, --filter <filter>', 'Filter output based on conditions provided', collect)
    .option('--format <template>', 'Format output using a custom template')
    .option('-q, --quiet', 'Only display IDs')
    .action(
      act<Flags>(async (context, flags) => {
        const query = { filters: filtersOf(flags.filter ?? []), status: true };
        const services = await context.client.get<ApiService[]>('/services', query);
        const rows = services.toSorted((a, b) => naturalOrder(a.Spec.Name, b.Spec.Name));
        const id = (service: ApiService): string => service.ID.slice(0, 12);
        await printListing(context, COLUMNS, rows, flags, id);
      }),
    );
};

const COLUMNS: readonly Column<ApiService>[] = [
  { key: 'ID', header: 'ID', value: (service) => service.ID.slice(0, 12) },
  { key: 'Name', header: 'NAME', value: (service) => service.Spec.Name },
  { key: 'Mode', header: 'MODE', value: (service) => modeOf(service.Spec) },
  { key: 'Replicas', header: 'REPLICAS', value: replicas },
  { key: 'Image', header: 'IMAGE', value: (service) => imageOf(service) },
  {
    key: 'Ports',
    header: 'PORTS',
    value: (service) => (service.Endpoint?.Ports ?? []).filter(isIngress).map(port).join(', '),
  },
];

function replicas({ ServiceStatus, Spec }: ApiService): string {
  const most = Spec.TaskTemplate.Placement?.MaxReplicas ?? 0;
  const counts = `${ServiceStatus?.RunningTasks ?? 0}/${ServiceStatus?.DesiredTasks ?? 0}`;
  return most > 0 ? `${counts} (max ${most} per node)` : counts;
}

function imageOf({ Spec }: ApiService): string {
  const image = Spec.TaskTemplate.ContainerSpec?.Image ?? '';
  return /:[^/@]+@sha256:/.test(image) ? (image.split('@')[0] ?? image) : image;
}

function isIngress({ PublishMode }: PortConfig): boolean {
  return PublishMode !== 'host';
}

function port({ PublishedPort, TargetPort, Protocol }: PortConfig): string {
  return `*:${PublishedPort ?? 0}->${TargetPort ?? 0}/${Protocol ?? 'tcp'}`;
}
