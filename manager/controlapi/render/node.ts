import type { NodeObject } from '../../../proto/objects/node.ts';
import type { ApiObject } from '../control-api.ts';
import { apiObject, withLabels } from './api-object.ts';
import type { TlsInfo } from './tls-info.ts';

/**
 * The Engine API's Node. Parts that the node has not told yet are empty, as Docker shows them. A node that does not tell which root it
 * trusts has the cluster's, `tls`: with another it could not have opened a session.
 */
export function renderNode(node: NodeObject, tls: TlsInfo): ApiObject {
  const { Description } = node;
  return apiObject(node, {
    Spec: withLabels(node.Spec),
    Description:
      Description === undefined
        ? { Platform: {}, Resources: {}, Engine: {}, TLSInfo: {} }
        : { ...Description, TLSInfo: Description.TLSInfo ?? tls },
    Status: node.Status,
    ManagerStatus: node.ManagerStatus,
  });
}
