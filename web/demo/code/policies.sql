-- Private rooms: members see one another and what is said, owners let people in.
create table public.demo_rooms (
  id text primary key,
  title text not null,
  owner text not null default auth.uid()
);

create function demo_is_member(p_room text) returns boolean
  language sql stable security definer as $$
  select exists (select 1 from public.demo_members m
                 where m.room_id = p_room and m.user_id = auth.uid()) $$;

create policy "members read" on public.demo_messages for select to authenticated
  using (demo_is_member(room_id));

create policy "members write" on public.demo_messages for insert to authenticated
  with check (user_id = auth.uid() and demo_is_member(room_id));

create policy "owners let in" on public.demo_members for insert to authenticated
  with check (demo_is_owner(room_id));
