import { collect, requireArgs, type Verb } from '../../command.ts';
import { pairsOf } from '../pairs.ts';

interface ConnectFlags {
  alias?: string[];
  driverOpt?: string[];
  ip?: string;
  ip6?: string;
  link?: string[];
  linkLocalIp?: string[];
}

export const addConnect: Verb = (noun, act) => {
  noun
    .command('connect')
    .description('Connect a container to a network')
    .argument('[args...]', 'NETWORK CONTAINER')
    .option('--alias <name>', 'Add network-scoped alias for the container', collect)
    .option('--driver-opt <option>', 'Driver options for the network', collect)
    .option('--ip <address>', 'IPv4 address (e.g., "172.30.100.104")')
    .option('--ip6 <address>', 'IPv6 address (e.g., "2001:db8::33")')
    .option('--link <container>', 'Add link to another container', collect)
    .option('--link-local-ip <address>', 'Add a link-local address for the container', collect)
    .action(
      act<ConnectFlags>(async (context, flags, args) => {
        requireArgs('network connect', args, 2, 2);
        const [network = '', container = ''] = args;
        const body = { Container: container, EndpointConfig: endpointConfig(flags) };
        await context.client.post(`/networks/${encodeURIComponent(network)}/connect`, body);
      }),
    );
};

/** Only what was asked for. */
function endpointConfig({ alias, driverOpt, ip, ip6, link, linkLocalIp }: ConnectFlags): object {
  const ipam = {
    ...(ip === undefined ? {} : { IPv4Address: ip }),
    ...(ip6 === undefined ? {} : { IPv6Address: ip6 }),
    ...(linkLocalIp === undefined ? {} : { LinkLocalIPs: linkLocalIp }),
  };
  return {
    ...(alias === undefined ? {} : { Aliases: alias }),
    ...(link === undefined ? {} : { Links: link }),
    ...(driverOpt === undefined ? {} : { DriverOpts: pairsOf(driverOpt) }),
    ...(Object.keys(ipam).length === 0 ? {} : { IPAMConfig: ipam }),
  };
}

export const addDisconnect: Verb = (noun, act) => {
  noun
    .command('disconnect')
    .description('Disconnect a container from a network')
    .argument('[args...]', 'NETWORK CONTAINER')
    .option('-f, --force', 'Force the container to disconnect from a network')
    .action(
      act<{ force?: boolean }>(async (context, flags, args) => {
        requireArgs('network disconnect', args, 2, 2);
        const [network = '', container = ''] = args;
        const body = { Container: container, Force: flags.force === true };
        await context.client.post(`/networks/${encodeURIComponent(network)}/disconnect`, body);
      }),
    );
};
