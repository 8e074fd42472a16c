import { collect, CommandError, requireArgs, type Verb } from '../../command.ts';
import { pairsOf } from '../pairs.ts';

interface Flags {
  driver: string;
  opt?: string[];
  attachable?: boolean;
  subnet?: string[];
  gateway?: string[];
  ipRange?: string[];
  auxAddress?: string[];
  internal?: boolean;
  ingress?: boolean;
  ipv6?: boolean;
  label?: string[];
  scope?: string;
  ipamDriver: string;
  ipamOpt?: string[];
  configOnly?: boolean;
  configFrom?: string;
}

export const addCreate: Verb = (noun, act) => {
  noun
    .command('create')
    .description('Create a network')
    .argument('[network...]')
    .option('-d, --driver <driver>', 'Driver to manage the Network', 'bridge')
    .option('-o, --opt <option>', 'Set driver specific options', collect)
    .option('--attachable', 'Enable manual container attachment')
    .option('--aux-address <address>', 'Auxiliary IPv4 or IPv6 addresses used by Network driver', collect)
    .option('--config-from <network>', 'The network from which to copy the configuration')
    .option('--config-only', 'Create a configuration only network')
    .option('--gateway <address>', 'IPv4 or IPv6 Gateway for the master subnet', collect)
    .option('--ingress', 'Create swarm routing-mesh network')
    .option('--internal', 'Restrict external access to the network')
    .option('--ip-range <cidr>', 'Allocate container ip from a sub-range', collect)
    .option('--ipam-driver <driver>', 'IP Address Management Driver', 'default')
    .option('--ipam-opt <option>', 'Set IPAM driver specific options', collect)
    .option('--ipv6', 'Enable IPv6 networking')
    .option('--label <label>', 'Set metadata on a network', collect)
    .option('--scope <scope>', "Control the network's scope")
    .option('--subnet <cidr>', 'Subnet in CIDR format that represents a network segment', collect)
    .action(
      act<Flags>(async (context, flags, args) => {
        requireArgs('network create', args, 1, 1);
        const answer = await context.client.post<{ Id: string; Warning?: string }>('/networks/create', {
          Name: args[0],
          CheckDuplicate: true,
          Driver: flags.driver,
          Scope: flags.scope ?? '',
          EnableIPv6: flags.ipv6 === true,
          IPAM: { Driver: flags.ipamDriver, Options: pairsOf(flags.ipamOpt), Config: ipamConfigs(flags) },
          Internal: flags.internal === true,
          Attachable: flags.attachable === true,
          Ingress: flags.ingress === true,
          ConfigOnly: flags.configOnly === true,
          ConfigFrom: flags.configFrom === undefined ? null : { Network: flags.configFrom },
          Options: pairsOf(flags.opt),
          Labels: pairsOf(flags.label),
        });
        if (answer.Warning !== undefined && answer.Warning !== '') context.warn(`WARNING: ${answer.Warning}`);
        context.print(answer.Id);
      }),
    );
};

interface IpamConfig {
  Subnet: string;
  IPRange?: string;
  Gateway?: string;
  AuxiliaryAddresses?: Record<string, string>;
}

/** Gateways, ranges and auxiliary addresses go to the subnet that they lie in: the n-th to the n-th when there are several. */
function ipamConfigs(flags: Flags): IpamConfig[] {
  const subnets = flags.subnet ?? [];
  const gateways = flags.gateway ?? [];
  const ranges = flags.ipRange ?? [];
  if (subnets.length === 0 && (gateways.length > 0 || ranges.length > 0)) {
    throw new CommandError('every ip-range or gateway must have a corresponding subnet');
  }
  if (gateways.length > subnets.length || ranges.length > subnets.length) {
    throw new CommandError('no matching subnet for gateway or ip-range');
  }
  return subnets.map((Subnet, at) => {
    const gateway = gateways[at];
    const range = ranges[at];
    return {
      Subnet,
      ...(range === undefined ? {} : { IPRange: range }),
      ...(gateway === undefined ? {} : { Gateway: gateway }),
      ...(at === 0 && flags.auxAddress !== undefined ? { AuxiliaryAddresses: pairsOf(flags.auxAddress) } : {}),
    };
  });
}
