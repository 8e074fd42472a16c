import ipaddr from 'ipaddr.js';
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

/** Gateways, ranges and auxiliary addresses go to the subnet that they lie in. @throws CommandError */
function ipamConfigs(flags: Flags): IpamConfig[] {
  const subnets = flags.subnet ?? [];
  const gateways = flags.gateway ?? [];
  const ranges = flags.ipRange ?? [];
  if (subnets.length < gateways.length || subnets.length < ranges.length) {
    throw new CommandError('every ip-range or gateway must have a corresponding subnet');
  }
  const configs = subnets.map((Subnet) => ({ net: parseCidr(Subnet), config: { Subnet } as IpamConfig }));
  const overlapping = configs.some((a) => configs.some((b) => a !== b && contains(a.net, b.net[0])));
  if (overlapping) throw new CommandError('multiple overlapping subnet configuration is not supported');
  const home = (address: string): IpamConfig | undefined =>
    configs.find((each) => contains(each.net, parseAddress(address)))?.config;
  for (const gateway of gateways) {
    const config = home(gateway);
    if (config === undefined) throw new CommandError(`no matching subnet for gateway ${gateway}`);
    config.Gateway = gateway;
  }
  for (const range of ranges) {
    const config = home(range.split('/')[0] ?? '');
    if (config === undefined) throw new CommandError(`no matching subnet for range ${range}`);
    config.IPRange = range;
  }
  for (const [name, address] of Object.entries(pairsOf(flags.auxAddress))) {
    const config = home(address);
    if (config === undefined) throw new CommandError(`no matching subnet for aux-address ${address}`);
    config.AuxiliaryAddresses = { ...config.AuxiliaryAddresses, [name]: address };
  }
  return configs.map(({ config }) => config);
}

type Address = ReturnType<typeof ipaddr.parse>;
type Cidr = [Address, number];

function parseCidr(text: string): Cidr {
  if (!ipaddr.isValidCIDR(text)) throw new CommandError(`invalid CIDR address: ${text}`);
  return ipaddr.parseCIDR(text);
}

function parseAddress(text: string): Address {
  if (!ipaddr.isValid(text)) throw new CommandError(`invalid IP address: ${text}`);
  return ipaddr.parse(text);
}

function contains([network, length]: Cidr, address: Address): boolean {
  return network.kind() === address.kind() && address.match(network, length);
}
