import { z } from 'zod';

/**
 * libnetwork's remote network and IPAM driver protocol, version 1.2 (moby: libnetwork/docs/remote.md and ipam.md, and
 * what engines 20.10 and later really send). Fields that Waggle does not read are passed over.
 */

const text = z
  .string()
  .nullish()
  .transform((value) => value ?? '');
const options = z
  .record(z.string(), z.unknown())
  .nullish()
  .transform((value) => value ?? {});
const ipamData = z
  .array(z.object({ Pool: text, Gateway: text }))
  .nullish()
  .transform((value) => value ?? []);
const endpoint = z.object({ NetworkID: z.string().min(1), EndpointID: z.string().min(1) });
const anything = z.looseObject({});

/** What each method takes. `null` for those that are called without a body. */
export const REQUESTS = {
  'Plugin.Activate': null,
  'NetworkDriver.GetCapabilities': null,
  'IpamDriver.GetCapabilities': null,
  'IpamDriver.GetDefaultAddressSpaces': null,
  'IpamDriver.RequestPool': z.object({ Pool: text, Options: options, V6: z.boolean().optional() }),
  'IpamDriver.ReleasePool': z.object({ PoolID: text }),
  'IpamDriver.RequestAddress': z.object({ PoolID: z.string().min(1), Address: text, Options: options }),
  'IpamDriver.ReleaseAddress': z.object({ PoolID: z.string().min(1), Address: text }),
  'NetworkDriver.CreateNetwork': z.object({
    NetworkID: z.string().min(1),
    Options: options,
    IPv4Data: ipamData,
    IPv6Data: ipamData,
  }),
  'NetworkDriver.DeleteNetwork': z.object({ NetworkID: z.string().min(1) }),
  'NetworkDriver.CreateEndpoint': endpoint.extend({
    Interface: z.object({ Address: text, AddressIPv6: text, MacAddress: text }).nullish(),
  }),
  'NetworkDriver.DeleteEndpoint': endpoint,
  'NetworkDriver.EndpointOperInfo': endpoint,
  'NetworkDriver.Join': endpoint.extend({ SandboxKey: text }),
  'NetworkDriver.Leave': endpoint,
  'NetworkDriver.DiscoverNew': anything,
  'NetworkDriver.DiscoverDelete': anything,
  'NetworkDriver.ProgramExternalConnectivity': anything,
  'NetworkDriver.RevokeExternalConnectivity': anything,
} as const satisfies Record<string, z.ZodType | null>;

export type PluginMethod = keyof typeof REQUESTS;

export type PluginRequest<Method extends PluginMethod> =
  (typeof REQUESTS)[Method] extends z.ZodType<infer Request> ? Request : undefined;

type Empty = Record<string, never>;

/** RouteType 1: on the link itself, without a next hop (libnetwork types.CONNECTED). */
export interface OnLinkRoute {
  /** CIDR. */
  Destination: string;
  RouteType: 1;
}

interface PluginResponses {
  'Plugin.Activate': { Implements: string[] };
  'NetworkDriver.GetCapabilities': { Scope: 'local'; ConnectivityScope: 'global' };
  'IpamDriver.GetCapabilities': { RequiresMACAddress: boolean; RequiresRequestReplay: boolean };
  'IpamDriver.GetDefaultAddressSpaces': { LocalDefaultAddressSpace: string; GlobalDefaultAddressSpace: string };
  'IpamDriver.RequestPool': { PoolID: string; Pool: string; Data: Record<string, string> };
  'IpamDriver.RequestAddress': { Address: string; Data: Record<string, string> };
  /** Only what was empty in the request may be filled. */
  'NetworkDriver.CreateEndpoint': { Interface: { MacAddress?: string } };
  /** No Gateway: the engine then adds docker_gwbridge as eth1, with the default route. */
  'NetworkDriver.Join': { InterfaceName: { SrcName: string; DstPrefix: string }; StaticRoutes: OnLinkRoute[] };
  'NetworkDriver.EndpointOperInfo': { Value: Empty };
}

export type PluginResponse<Method extends PluginMethod> = Method extends keyof PluginResponses
  ? PluginResponses[Method]
  : Empty;

/** One handler per method. A handler that throws is answered with the error's message; none may call the engine. */
export type PluginHandlers = {
  [Method in PluginMethod]: (
    request: PluginRequest<Method>,
  ) => PluginResponse<Method> | Promise<PluginResponse<Method>>;
};

/** What depends on the node being in a swarm. */
export type PluginBackend = Omit<
  PluginHandlers,
  | 'Plugin.Activate'
  | 'NetworkDriver.GetCapabilities'
  | 'IpamDriver.GetCapabilities'
  | 'IpamDriver.GetDefaultAddressSpaces'
>;

export function isPluginMethod(name: string): name is PluginMethod {
  return Object.hasOwn(REQUESTS, name);
}
