import type { NodeObject } from '../../../proto/objects/node.ts';
import type { ApiObject } from '../control-api.ts';
import { apiObject, withLabels } from './api-object.ts';

/** The Engine API's Node. Parts that the node has not told yet are empty, as Docker shows them. */
export function renderNode(node: NodeObject): ApiObject {
  return apiObject(node, {
    Spec: withLabels(node.Spec),
    Description: node.Description ?? { Platform: {}, Resources: {}, Engine: {}, TLSInfo: {} },
    Status: node.Status,
    ManagerStatus: node.ManagerStatus,
  });
}
