import { createEngine, type TemplateFunc } from '@promptctl/go-template-js';
import type { NodeDescription } from '../../proto/objects/node.ts';
import { taskName } from '../../proto/objects/naming.ts';
import type { TaskObject } from '../../proto/objects/task.ts';
import { messageOf, WaggleError } from '../../proto/runtime/errors.ts';

/** Replaces the placeholders of one text. @throws WaggleError invalid-argument for a template that cannot be expanded. */
export type Expand = (text: string) => string;

type Scope = { [key: string]: string | Scope };

const FUNCTIONS: Record<string, TemplateFunc> = {
  // Separator first, as swarmkit's template package has it.
  join: {
    fn: (separator: unknown, ...parts: unknown[]) => parts.map(String).join(String(separator)),
    argTypes: ['string', 'string'],
  },
  // Go gives the zero value for a key that a map does not hold.
  index: { fn: indexLabels, argTypes: ['collection', 'string'] },
};

const engine = createEngine<string>({
  fromString: (text) => text,
  isT: (value): value is string => typeof value === 'string',
  missingKey: 'error',
  funcs: FUNCTIONS,
});

/**
 * Go templates in a service's env, hostname and mounts: `.Service.{ID,Name,Labels}`, `.Node.{ID,Hostname,Platform}`,
 * `.Task.{ID,Name,Slot}` (swarmkit template/context.go). The slot of a global service's task is its node's ID.
 */
export function taskTemplate(task: TaskObject, node: NodeDescription): Expand {
  const scope = scopeOf({
    Service: {
      ID: task.ServiceID,
      Name: task.ServiceAnnotations.Name,
      Labels: { ...task.ServiceAnnotations.Labels },
    },
    Node: {
      ID: task.NodeID,
      Hostname: node.Hostname,
      Platform: { Architecture: node.Platform.Architecture, OS: node.Platform.OS },
    },
    Task: { ID: task.ID, Name: taskName(task), Slot: task.Slot === 0 ? task.NodeID : String(task.Slot) },
  });
  return (text) => {
    if (!text.includes('{{')) return text;
    try {
      return engine.compile(text)(scope).join('');
    } catch (error) {
      throw new WaggleError('invalid-argument', `expanding ${JSON.stringify(text)} failed: ${messageOf(error)}`);
    }
  };
}

/** No prototype, so that a template finds nothing but what was put there. */
function scopeOf(values: { [key: string]: string | object }): Scope {
  const scope = Object.create(null) as Scope;
  for (const [key, value] of Object.entries(values)) {
    scope[key] = typeof value === 'string' ? value : scopeOf(value as { [key: string]: string | object });
  }
  return scope;
}

function indexLabels(labels: unknown, key: unknown): unknown {
  return (labels as Scope)[String(key)] ?? '';
}
