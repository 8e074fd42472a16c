import { requireArgs, type Verb } from '../../command.ts';
import { printInspection } from '../../format/inspection.ts';
import { formatBytes, formatTime } from '../../format/units.ts';
import { type ApiNode, getNode } from './api-node.ts';

interface Flags {
  format?: string;
  pretty?: boolean;
}

export const addInspect: Verb = (noun, act) => {
  noun
    .command('inspect')
    .description('Display detailed information on one or more nodes')
    .argument('[node...]', 'self, hostname or ID')
    .option('-f, --format <template>', 'Format output using a custom template')
    .option('--pretty', 'Print the information in a human friendly format')
    .action(
      act<Flags>(async (context, flags, args) => {
        requireArgs('node inspect', args, 1);
        if (flags.pretty === true) {
          for (const ref of args) for (const line of pretty(await getNode(context, ref))) context.print(line);
        } else {
          await printInspection(context, args, (ref) => getNode(context, ref), flags.format);
        }
      }),
    );
};

function pretty(node: ApiNode): string[] {
  const description = node.Description;
  const labels = Object.entries(node.Spec.Labels ?? {});
  return [
    `ID:\t\t\t${node.ID}`,
    ...(node.Spec.Name === undefined || node.Spec.Name === '' ? [] : [`Name:\t\t\t${node.Spec.Name}`]),
    ...(labels.length === 0 ? [] : ['Labels:', ...labels.map(([key, value]) => ` - ${key}=${value}`)]),
    `Hostname:              \t${description?.Hostname ?? ''}`,
    `Joined at:             \t${formatTime(node.CreatedAt).toLowerCase()}`,
    'Status:',
    ` State:\t\t\t${capital(node.Status.State)}`,
    ...(node.Status.Message ? [` Message:\t\t${node.Status.Message}`] : []),
    ` Availability:         \t${capital(node.Spec.Availability)}`,
    ` Address:\t\t${node.Status.Addr ?? ''}`,
    ...(node.ManagerStatus === undefined
      ? []
      : [
          'Manager Status:',
          ` Address:\t\t${node.ManagerStatus.Addr}`,
          ` Raft Status:\t\t${capital(node.ManagerStatus.Reachability)}`,
          ` Leader:\t\t${node.ManagerStatus.Leader === true ? 'Yes' : 'No'}`,
        ]),
    'Platform:',
    ` Operating System:\t${description?.Platform.OS ?? ''}`,
    ` Architecture:\t\t${description?.Platform.Architecture ?? ''}`,
    'Resources:',
    ` CPUs:\t\t\t${(description?.Resources.NanoCPUs ?? 0) / 1e9}`,
    ` Memory:\t\t${formatBytes(description?.Resources.MemoryBytes ?? 0)}`,
    ...plugins(description?.Engine.Plugins ?? []),
    `Engine Version:\t\t${description?.Engine.EngineVersion ?? ''}`,
    ...engineLabels(description?.Engine.Labels ?? {}),
    ...tlsLines(description?.TLSInfo),
  ];
}

function plugins(all: readonly { Type: string; Name: string }[]): string[] {
  const types = [...new Set(all.map(({ Type }) => Type))].toSorted();
  const namesOf = (type: string): string[] => all.filter((each) => each.Type === type).map((each) => each.Name);
  const lines = types.map((type) => ` ${type}:\t\t${namesOf(type).join(', ')}`);
  return lines.length === 0 ? [] : ['Plugins:', ...lines];
}

function engineLabels(labels: Readonly<Record<string, string>>): string[] {
  const lines = Object.entries(labels).map(([key, value]) => ` - ${key}=${value}`);
  return lines.length === 0 ? [] : ['Engine Labels:', ...lines.toSorted()];
}

function tlsLines(info: NonNullable<ApiNode['Description']>['TLSInfo']): string[] {
  if (info?.TrustRoot === undefined) return [];
  return [
    'TLS Info:',
    ' TrustRoot:',
    info.TrustRoot.trimEnd(),
    '',
    ` Issuer Subject:\t${info.CertIssuerSubject}`,
    ` Issuer Public Key:\t${info.CertIssuerPublicKey}`,
  ];
}

function capital(word: string): string {
  return word.slice(0, 1).toUpperCase() + word.slice(1);
}
