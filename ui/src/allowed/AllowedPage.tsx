/** Everything the person allowed for longer than once, and how to take it back. */
import { Loader } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api } from '../api/client';
import { take } from '../app/commands';
import { Notice } from '../parts/Notice';
import css from './Allowed.module.css';
import { AllowedList } from './AllowedList';

export default function AllowedPage() {
  const allowed = useQuery({ queryKey: ['allowed'], queryFn: api.allowed, staleTime: 0 });
  const rules = allowed.data?.rules ?? [];
  const grants = allowed.data?.grants ?? [];
  return (
    <div className={css.page}>
      <h1 className={css.title}>What is allowed</h1>
      <p className={css.lead}>
        Each line allows one request, exactly as it was when you allowed it. Anything else is judged
        anew, and asked for where the task’s permissions say so.
      </p>
      {allowed.error ? (
        <Notice meaning="danger" title="It could not be read">
          {allowed.error.message}
        </Notice>
      ) : null}
      {allowed.isPending ? <Loader size="sm" /> : null}
      {allowed.data ? (
        <>
          <h2 className={css.group}>In a project, or always</h2>
          <AllowedList
            empty="Nothing is allowed beyond a task."
            entries={rules.map((rule) => ({
              ...rule,
              key: `rule-${rule.id}`,
              where:
                rule.scope === 'always'
                  ? 'always, in every project'
                  : `in ${rule.project_name ?? 'one project'}`,
              revoke: () => api.revokeRule(rule.id),
            }))}
          />
          <h2 className={css.group}>For the rest of a task</h2>
          <AllowedList
            empty="Nothing is allowed for a whole task."
            entries={grants.map((grant) => ({
              ...grant,
              key: `grant-${grant.task_id}-${grant.digest}`,
              where: `in ${grant.task_name}`,
              href: `/t/${grant.task_name}/details`,
              revoke: async () => take(await api.revokeGrant(grant.task_id, grant.digest)),
            }))}
          />
        </>
      ) : null}
    </div>
  );
}
