import type { ManagerStatus, NodeDescription, NodeSpec } from '../../../proto/objects/node.ts';
import type { Context } from '../../context.ts';

/** A node as `GET /nodes` shows it. */
export interface ApiNode {
  ID: string;
  Version: { Index: number };
  CreatedAt: string;
  UpdatedAt: string;
  Spec: NodeSpec;
  Description?: NodeDescription;
  Status: { State: string; Message?: string; Addr?: string };
  ManagerStatus?: ManagerStatus;
}

/** `self` is this node. */
async function resolveNode(context: Context, ref: string): Promise<string> {
  if (ref !== 'self') return ref;
  const { Swarm } = await context.client.get<{ Swarm: { NodeID: string } }>('/info');
  return Swarm.NodeID;
}

/** @param ref ID, name, or `self`. */
export async function getNode(context: Context, ref: string): Promise<ApiNode> {
  return context.client.get<ApiNode>(`/nodes/${encodeURIComponent(await resolveNode(context, ref))}`);
}

/** Reads, changes and writes back one node after another, naming each that was changed. */
export async function updateNodes(
  context: Context,
  refs: readonly string[],
  change: (node: ApiNode) => NodeSpec,
  done: (ref: string) => string,
): Promise<void> {
  for (const ref of refs) {
    const node = await getNode(context, ref);
    await context.client.post(`/nodes/${node.ID}/update`, change(node), { version: node.Version.Index });
    context.print(done(ref));
  }
}
