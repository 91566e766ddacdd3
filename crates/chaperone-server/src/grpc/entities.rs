//! `chaperone.v1.EntityService`.

use chaperone_api::chaperone::v1 as api;
use chaperone_api::chaperone::v1::entity_service_server::EntityService;
use chaperone_policy::{Attributes, Entity, EntityRef};
use tonic::{Request, Response, Status};

use super::convert;
use crate::admin::AdminError;
use crate::admin::entities::Entities;

/// Serves entity administration.
#[derive(Clone, Debug)]
pub struct EntityApi {
    entities: Entities,
}

impl EntityApi {
    /// An adapter over the use cases.
    pub fn new(entities: Entities) -> Self {
        Self { entities }
    }
}

#[tonic::async_trait]
impl EntityService for EntityApi {
    async fn put(
        &self,
        request: Request<api::EntityServicePutRequest>,
    ) -> Result<Response<api::EntityServicePutResponse>, Status> {
        let by = convert::caller(&request);
        let entities = request.into_inner().entities.into_iter().enumerate();
        let entities = entities.map(|(index, entity)| read(index, entity)).collect::<Result<Vec<_>, _>>()?;
        let stored_count = self.entities.put(&entities, &by).await?;
        Ok(Response::new(api::EntityServicePutResponse { stored_count }))
    }

    async fn delete(
        &self,
        request: Request<api::EntityServiceDeleteRequest>,
    ) -> Result<Response<api::EntityServiceDeleteResponse>, Status> {
        let by = convert::caller(&request);
        let uids = request.into_inner().uids.into_iter().map(|uid| convert::entity_ref("uids", Some(uid)));
        let deleted_count = self.entities.delete(&uids.collect::<Result<Vec<_>, _>>()?, &by).await?;
        Ok(Response::new(api::EntityServiceDeleteResponse { deleted_count }))
    }

    async fn list(
        &self,
        request: Request<api::EntityServiceListRequest>,
    ) -> Result<Response<api::EntityServiceListResponse>, Status> {
        let request = request.into_inner();
        let page_size = convert::page_size(request.page_size)?;
        let limit = convert::read_limit(page_size);
        let kind = convert::name("type", request.r#type)?;
        let after = convert::page_token::<Token>(&request.page_token)?;
        let mut entities = self.entities.list(kind.as_deref(), after.as_ref().map(|token| &token.0), limit).await?;
        let next_page_token = convert::next_page_token(&mut entities, page_size, |entity| {
            format!("{} {}", entity.uid.kind, entity.uid.id)
        });
        let entities = entities.iter().map(entity_to_api).collect();
        Ok(Response::new(api::EntityServiceListResponse { entities, next_page_token }))
    }
}

/// A type and an id: types have no spaces.
struct Token(EntityRef);

impl std::str::FromStr for Token {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.split_once(' ').map(|(kind, id)| Self(EntityRef::new(kind, id))).ok_or(())
    }
}

fn read(index: usize, entity: api::Entity) -> Result<Entity, AdminError> {
    let parents = entity.parents.into_iter();
    let parents = parents.map(|uid| convert::entity_ref(format_args!("entities[{index}].parents"), Some(uid)));
    Ok(Entity {
        uid: convert::entity_ref(format_args!("entities[{index}].uid"), entity.uid)?,
        attributes: convert::attributes(format_args!("entities[{index}].attributes"), entity.attributes)?,
        tags: convert::attributes(format_args!("entities[{index}].tags"), entity.tags)?,
        parents: parents.collect::<Result<_, _>>()?,
    })
}

fn entity_to_api(entity: &Entity) -> api::Entity {
    let values = |attributes: &Attributes| {
        attributes.iter().map(|(name, value)| (name.to_string(), convert::value_to_api(value))).collect()
    };
    api::Entity {
        uid: Some(convert::entity_ref_to_api(&entity.uid)),
        attributes: values(&entity.attributes),
        parents: entity.parents.iter().map(convert::entity_ref_to_api).collect(),
        tags: values(&entity.tags),
    }
}
