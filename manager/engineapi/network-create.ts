import type { Labels } from '../../proto/objects/meta.ts';
import type { IpamConfig, NetworkSpec } from '../../proto/objects/network.ts';

/** Body of `POST /networks/create`. */
export interface NetworkCreateRequest {
  Name?: string;
  CheckDuplicate?: boolean;
  Driver?: string;
  Scope?: string;
  EnableIPv6?: boolean | null;
  Internal?: boolean;
  Attachable?: boolean;
  Ingress?: boolean;
  ConfigOnly?: boolean;
  ConfigFrom?: { Network?: string } | null;
  IPAM?: { Driver?: string; Options?: Labels | null; Config?: IpamConfig[] | null } | null;
  Options?: Labels | null;
  Labels?: Labels | null;
}

/** The cluster's words for what the Engine API asks. Fields not given stay absent. */
export function networkSpecOf(body: NetworkCreateRequest): NetworkSpec {
  const spec: NetworkSpec = { Name: body.Name ?? '' };
  if (body.Labels !== undefined) spec.Labels = body.Labels;
  spec.DriverConfiguration = {
    ...(body.Driver === undefined ? {} : { Name: body.Driver }),
    ...(body.Options === undefined || body.Options === null ? {} : { Options: body.Options }),
  };
  if (typeof body.EnableIPv6 === 'boolean') spec.IPv6Enabled = body.EnableIPv6;
  if (body.Internal !== undefined) spec.Internal = body.Internal;
  if (body.Attachable !== undefined) spec.Attachable = body.Attachable;
  if (body.Ingress !== undefined) spec.Ingress = body.Ingress;
  if (body.Scope !== undefined && body.Scope !== '') spec.Scope = body.Scope;
  if (body.ConfigFrom?.Network) spec.ConfigFrom = { Network: body.ConfigFrom.Network };
  if (body.IPAM !== undefined && body.IPAM !== null) spec.IPAMOptions = ipamOf(body.IPAM);
  return spec;
}

function ipamOf(ipam: NonNullable<NetworkCreateRequest['IPAM']>): NonNullable<NetworkSpec['IPAMOptions']> {
  const driver = ipam.Driver === undefined || ipam.Driver === '' ? 'default' : ipam.Driver;
  return {
    Driver: { Name: driver, ...(ipam.Options ? { Options: ipam.Options } : {}) },
    Configs: ipam.Config ?? [],
  };
}
